//! Open recoveries with their exposure clocks, and one recovery with its timeline.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use homeward_proto::recovery::v1::{GetRecoveryRequest, ListRecoveriesRequest, Recovery, TimelineEntry};

use crate::session::request_of;
use crate::{Console, page};

/// More than a person reads at once; the command line pages through all.
const ROWS: i32 = 500;

struct Row {
    recovery: String,
    who: String,
    at: String,
    requester: String,
    next: String,
    /// Epoch milliseconds while the account is out; empty otherwise.
    out_since: String,
    /// Epoch milliseconds of the latest return; empty when there is no lease.
    due_at: String,
}

#[derive(Template)]
#[template(path = "open.html")]
struct OpenPage {
    rows: Vec<Row>,
    out: usize,
    cut: bool,
}

pub async fn open(State(console): State<Console>, headers: HeaderMap) -> Response {
    let mut rows = Vec::new();
    let mut cut = false;
    for organisation in &console.organisations {
        let message =
            ListRecoveriesRequest { organisation: organisation.clone(), open_only: true, before: String::new(), page_size: ROWS };
        let Some(request) = request_of(&headers, message) else { return Redirect::to("/sign-in").into_response() };
        match console.client().list_recoveries(request).await {
            Ok(response) => {
                let response = response.into_inner();
                cut |= !response.next_before.is_empty();
                rows.extend(response.recoveries.iter().map(row));
            }
            Err(status) => return page::refused(&status),
        }
    }
    let out = rows.iter().filter(|row| !row.out_since.is_empty()).count();
    page::render(&OpenPage { rows, out, cut })
}

fn row(recovery: &Recovery) -> Row {
    let out = recovery.back_at.is_none().then_some(recovery.out_since).flatten();
    Row {
        recovery: recovery.recovery.clone(),
        who: format!("{} <{}>", recovery.name, recovery.email),
        at: recovery.step.clone(),
        requester: recovery.requester.clone(),
        next: recovery.next.clone(),
        out_since: millis(out),
        due_at: millis(recovery.due_at),
    }
}

struct Entry {
    at: String,
    kind: String,
    sentence: String,
    actor: String,
}

#[derive(Template)]
#[template(path = "one.html")]
struct OnePage {
    row: Row,
    outcome: String,
    evidence: String,
    trace: String,
    /// Where to look at the trace; empty when nobody said.
    trace_link: String,
    approvers: String,
    timeline: Vec<Entry>,
}

pub async fn one(State(console): State<Console>, headers: HeaderMap, Path(recovery): Path<String>) -> Response {
    let Some(request) = request_of(&headers, GetRecoveryRequest { recovery }) else {
        return Redirect::to("/sign-in").into_response();
    };
    let response = match console.client().get_recovery(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return page::refused(&status),
    };
    let recovery = response.recovery.unwrap_or_default();
    page::render(&OnePage {
        row: row(&recovery),
        outcome: if recovery.outcome.is_empty() { "still open".into() } else { recovery.outcome_sentence.clone() },
        evidence: recovery.return_evidence.clone(),
        trace: recovery.trace_id.clone(),
        trace_link: link(&recovery.trace_link),
        approvers: response.approvers.join(", "),
        timeline: response.timeline.iter().map(entry).collect(),
    })
}

/// A page cannot make a browser run what stands in the configuration.
fn link(address: &str) -> String {
    if address.starts_with("https://") || address.starts_with("http://") { address.to_owned() } else { String::new() }
}

fn entry(entry: &TimelineEntry) -> Entry {
    Entry {
        at: moment(entry.at).map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default(),
        kind: entry.kind.clone(),
        sentence: entry.sentence.clone(),
        actor: entry.actor.clone(),
    }
}

fn millis(at: Option<prost_types::Timestamp>) -> String {
    moment(at).map(|at| at.timestamp_millis().to_string()).unwrap_or_default()
}

fn moment(at: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    homeward_proto::wire::moment_optional("at", at).ok().flatten()
}
