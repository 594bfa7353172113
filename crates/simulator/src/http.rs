//! The provider's API over HTTP: the documented paths, bodies, statuses and error shapes, and none besides.

mod access;
mod answer;
mod cursor;
pub(crate) mod endpoint;
mod events;
mod gate;
mod manage;
mod organisations;
mod placements;
mod search;
mod users;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post};

use crate::state::Sim;

pub use endpoint::{ENDPOINTS, Endpoint, Family, Scope, UNKNOWN};

/// Larger than any request that the product makes: a bulk-fetch of 100,000 ids.
const LARGEST_REQUEST: usize = 16 << 20;

/// All paths of the provider.
pub(crate) fn router(sim: &Sim) -> Router {
    Router::new()
        .route("/admin/v1/orgs", get(organisations::list))
        .route("/admin/v1/orgs/{org}", get(organisations::one))
        .route("/admin/v1/orgs/{org}/domains", get(organisations::domains))
        .route("/admin/v1/orgs/{org}/domains/{domain}", get(organisations::domain))
        .route("/admin/v1/orgs/{org}/users", get(organisations::managed_users))
        .route("/admin/v1/orgs/{org}/events", get(events::query))
        .route("/admin/v1/orgs/{org}/events-stream", get(events::stream))
        .route("/admin/v1/orgs/{org}/event-actions", get(events::actions))
        .route("/admin/v1/orgs/{org}/directory/users/{account}/last-active-dates", get(users::last_active))
        .route("/admin/v2/orgs/{org}/directories", get(organisations::directories))
        .route("/admin/v2/orgs/{org}/directories/{directory}/users/search", post(search::search))
        .route("/admin/v2/orgs/{org}/directories/{directory}/users/{account}", get(users::details))
        .route("/admin/control/v1/orgs/{org}/auth-policy/{policy}/add-users", post(placements::add_users))
        .route("/admin/control/v1/orgs/{org}/auth-policy/task/{task}", get(placements::task))
        .route("/admin/control/v1/orgs/{org}/users/auth-policies/bulk-fetch", post(placements::bulk_fetch))
        .route("/admin/api-access/v1/orgs/{org}/api-keys", get(access::keys))
        .route("/users/{account}/manage", get(manage::privileges))
        .route("/users/{account}/manage/profile", get(manage::profile))
        .route("/users/{account}/manage/api-tokens", get(manage::tokens))
        .route("/users/{account}/manage/api-tokens/{token}", delete(manage::delete_token))
        .route("/users/{account}/manage/lifecycle/disable", post(manage::disable))
        .route("/users/{account}/manage/lifecycle/enable", post(manage::enable))
        .route_layer(from_fn_with_state(sim.clone(), gate::gate))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(sim.clone())
}

/// A path that the provider does not have. It is counted, so that a test can fail on it.
async fn unknown(State(sim): State<Sim>, method: Method, uri: Uri) -> Response {
    tracing::debug!(%method, path = uri.path(), "the simulator was asked for a path that the provider does not have");
    sim.count(endpoint::UNKNOWN, StatusCode::NOT_FOUND.as_u16());
    answer::gateway(StatusCode::NOT_FOUND, "No message available")
}
