//! The control side: the ground truth, faults, and everything that happens to the organisation behind the product's
//! back. On a port and with a token of its own, so that no adapter can come near it.

mod accounts;
mod faults;
mod truth;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::state::Sim;

pub use faults::Chaos;
pub use truth::Info;
pub(crate) use truth::information;

/// All paths of the control side.
pub(crate) fn router(sim: &Sim) -> Router {
    Router::new()
        .route("/info", get(truth::info))
        .route("/truth", get(truth::page).post(truth::some))
        .route("/truth/summary", get(truth::summary).post(truth::summary_of_many))
        .route("/truth/log", get(truth::log))
        .route("/calls", get(truth::calls))
        .route("/faults", get(faults::list).post(faults::set).delete(faults::clear))
        .route("/faults/chaos", post(faults::chaos))
        .route("/faults/storm", post(faults::storm))
        .route("/faults/{number}", delete(faults::clear_one))
        .route("/accounts/{account}/{change}", post(accounts::drift))
        .route("/tasks/land", post(truth::land))
        .route("/policies", get(accounts::policies))
        .route("/policies/{policy}/delete", post(accounts::delete_policy))
        .route("/policies/{policy}/demand", post(accounts::set_demand))
        .route("/keys/{label}/revoke", post(accounts::revoke_key))
        .route("/settings", get(accounts::settings).put(accounts::set_settings))
        .route("/rate-limits", axum::routing::put(accounts::set_rate_limits))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .layer(from_fn_with_state(sim.clone(), with_token))
        .with_state(sim.clone())
}

async fn with_token(State(sim): State<Sim>, request: Request, next: Next) -> Response {
    let wanted = format!("Bearer {}", sim.control_token);
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_none_or(|given| given.as_bytes() != wanted.as_bytes()) {
        return refuse(StatusCode::UNAUTHORIZED, "the control side needs its bearer token");
    }
    next.run(request).await
}

/// An error of the control side: a sentence for whoever wrote the test.
fn refuse(status: StatusCode, error: impl std::fmt::Display) -> Response {
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}
