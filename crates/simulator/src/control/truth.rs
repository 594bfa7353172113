//! Reading the ground truth over HTTP.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::policy::PolicyRecord;
use crate::state::Sim;
use crate::truth::TruthPage;
use crate::well_known::{DIRECTORY, ORGANISATION, ORGANISATION_NAME};

/// Accounts on a page of the truth, and lines on a page of the log, if nothing else is asked for.
const PAGE: usize = 10_000;

/// What a simulator is, for whoever starts a client for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Where the provider and the people's pages are.
    pub provider_url: String,
    /// Where the control side is.
    pub control_url: String,
    /// The organisation's id at the provider.
    pub organisation: String,
    /// Its name.
    pub organisation_name: String,
    /// Its directory's id.
    pub directory: String,
    /// Its policies.
    pub policies: Vec<PolicyRecord>,
    /// Accounts, managed or not.
    pub accounts: usize,
    /// Managed accounts.
    pub managed: usize,
}

pub(super) async fn info(State(sim): State<Sim>) -> Json<Info> {
    Json(information(&sim))
}

/// What this simulator is.
pub(crate) fn information(sim: &Sim) -> Info {
    let organisation = sim.organisation();
    let summary = organisation.summary([]);
    Info {
        provider_url: sim.provider_url.clone(),
        control_url: sim.control_url.clone(),
        organisation: ORGANISATION.into(),
        organisation_name: ORGANISATION_NAME.into(),
        directory: DIRECTORY.into(),
        policies: organisation.policies.clone(),
        accounts: summary.accounts,
        managed: summary.managed,
    }
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    /// Ids, with commas between.
    accounts: Option<String>,
    cursor: Option<usize>,
    limit: Option<usize>,
}

pub(super) async fn page(State(sim): State<Sim>, Query(query): Query<PageQuery>) -> Json<TruthPage> {
    let organisation = sim.organisation();
    match query.accounts.as_deref() {
        Some(ids) => Json(TruthPage { accounts: organisation.truths(ids.split(',')), next: None }),
        None => Json(organisation.truth_page(query.cursor.unwrap_or(0), query.limit.unwrap_or(PAGE))),
    }
}

pub(super) async fn some(State(sim): State<Sim>, Json(ids): Json<Vec<String>>) -> Json<TruthPage> {
    let accounts = sim.organisation().truths(ids.iter().map(String::as_str));
    Json(TruthPage { accounts, next: None })
}

#[derive(Deserialize)]
pub(super) struct SummaryQuery {
    exclude: Option<String>,
}

pub(super) async fn summary(State(sim): State<Sim>, Query(query): Query<SummaryQuery>) -> Response {
    let excluded = query.exclude.as_deref().unwrap_or_default();
    Json(sim.organisation().summary(excluded.split(',').filter(|id| !id.is_empty()))).into_response()
}

pub(super) async fn summary_of_many(State(sim): State<Sim>, Json(excluded): Json<Vec<String>>) -> Response {
    Json(sim.organisation().summary(excluded.iter().map(String::as_str))).into_response()
}

#[derive(Deserialize)]
pub(super) struct LogQuery {
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
    account: Option<String>,
}

pub(super) async fn log(State(sim): State<Sim>, Query(query): Query<LogQuery>) -> Response {
    let organisation = sim.organisation();
    let limit = query.limit.unwrap_or(PAGE);
    let Some(account) = query.account else {
        return Json(organisation.effects_since(query.since, limit)).into_response();
    };
    let all = organisation.effects_since(query.since, usize::MAX).iter();
    Json(all.filter(|effect| effect.account == account).take(limit).collect::<Vec<_>>()).into_response()
}

/// Whatever was accepted and is not done yet takes effect now.
pub(super) async fn land(State(sim): State<Sim>) -> Response {
    Json(serde_json::json!({ "landed": sim.organisation().land() })).into_response()
}

pub(super) async fn calls(State(sim): State<Sim>) -> Response {
    Json(sim.calls()).into_response()
}
