//! Setting faults over HTTP, and reading which of them fired.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::faults::{Fault, Storm};
use crate::state::Sim;

pub(super) async fn list(State(sim): State<Sim>) -> Response {
    Json(sim.faults.all()).into_response()
}

/// One fault, or a list; the answer is their numbers.
pub(super) async fn set(State(sim): State<Sim>, Json(body): Json<serde_json::Value>) -> Response {
    let faults = if body.is_array() { serde_json::from_value(body) } else { serde_json::from_value(body).map(|one| vec![one]) };
    let faults: Vec<Fault> = match faults {
        Ok(faults) => faults,
        Err(error) => return super::refuse(StatusCode::BAD_REQUEST, error),
    };
    if let Some(fault) = faults.iter().find(|fault| !(0.0..=1.0).contains(&fault.probability)) {
        return super::refuse(StatusCode::BAD_REQUEST, format!("probability {} is not between 0 and 1", fault.probability));
    }
    set_all(&sim, faults)
}

/// The chaos profile as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// How likely each request is to be met by each fault.
    pub probability: f64,
    /// How late an effect may be and how old a read, in milliseconds.
    pub late_ms: u64,
}

pub(super) async fn chaos(State(sim): State<Sim>, Json(chaos): Json<Chaos>) -> Response {
    if !(0.0..=1.0).contains(&chaos.probability) {
        return super::refuse(StatusCode::BAD_REQUEST, "probability is not between 0 and 1");
    }
    set_all(&sim, Fault::chaos(chaos.probability, Duration::from_millis(chaos.late_ms)))
}

pub(super) async fn storm(State(sim): State<Sim>, Json(storm): Json<Storm>) -> Response {
    if !(0.0..=1.0).contains(&storm.probability) {
        return super::refuse(StatusCode::BAD_REQUEST, "probability is not between 0 and 1");
    }
    set_all(&sim, storm.faults())
}

fn set_all(sim: &Sim, faults: Vec<Fault>) -> Response {
    let now = sim.now();
    let numbers: Vec<u64> = faults.into_iter().map(|fault| sim.faults.set(fault, now)).collect();
    Json(json!({ "numbers": numbers })).into_response()
}

pub(super) async fn clear(State(sim): State<Sim>) -> Response {
    Json(json!({ "cleared": sim.faults.clear(None) })).into_response()
}

pub(super) async fn clear_one(State(sim): State<Sim>, Path(number): Path<u64>) -> Response {
    Json(json!({ "cleared": sim.faults.clear(Some(number)) })).into_response()
}
