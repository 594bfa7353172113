//! Changing accounts, policies, keys and settings over HTTP.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::RateLimit;
use crate::organisation::Settings;
use crate::organisation::drift::{Drift, DriftError};
use crate::policy::Demand;
use crate::state::Sim;

use super::refuse;

fn drift_refused(error: &DriftError) -> Response {
    let status = match error {
        DriftError::NoSuchAccount(_) | DriftError::NoSuchPolicy(_) => StatusCode::NOT_FOUND,
        DriftError::AddressTaken(_) | DriftError::LastPolicy(_) => StatusCode::CONFLICT,
    };
    refuse(status, error)
}

/// `POST /accounts/{id}/{change}`: the path names the change, the body (which may be empty) its details.
pub(super) async fn drift(State(sim): State<Sim>, Path((account, change)): Path<(String, String)>, body: Bytes) -> Response {
    let details = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
    let drift = details.and_then(|mut details: Value| {
        if let Some(details) = details.as_object_mut() {
            details.insert("change".into(), change.into());
        }
        serde_json::from_value::<Drift>(details)
    });
    let drift = match drift {
        Ok(drift) => drift,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    let mut organisation = sim.organisation();
    match organisation.drift(&account, drift) {
        Ok(()) => match organisation.find(&account) {
            Some(slot) => Json(organisation.truth(slot)).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Err(error) => drift_refused(&error),
    }
}

pub(super) async fn policies(State(sim): State<Sim>) -> Response {
    Json(&sim.organisation().policies).into_response()
}

pub(super) async fn delete_policy(State(sim): State<Sim>, Path(policy): Path<String>) -> Response {
    match sim.organisation().delete_policy(&policy) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => drift_refused(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDemand {
    demand: Demand,
}

pub(super) async fn set_demand(State(sim): State<Sim>, Path(policy): Path<String>, Json(new): Json<NewDemand>) -> Response {
    match sim.organisation().set_demand(&policy, new.demand) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => drift_refused(&error),
    }
}

pub(super) async fn revoke_key(State(sim): State<Sim>, Path(label): Path<String>) -> Response {
    if sim.revoke_key(&label) {
        return StatusCode::NO_CONTENT.into_response();
    }
    refuse(StatusCode::NOT_FOUND, format!("no key has the label {label}"))
}

pub(super) async fn settings(State(sim): State<Sim>) -> Json<Settings> {
    Json(sim.organisation().settings)
}

pub(super) async fn set_settings(State(sim): State<Sim>, Json(settings): Json<Settings>) -> Response {
    sim.organisation().settings = settings;
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn set_rate_limits(State(sim): State<Sim>, Json(limits): Json<Vec<RateLimit>>) -> Response {
    sim.set_rate_limits(limits);
    StatusCode::NO_CONTENT.into_response()
}
