//! What the append-only log says of each decision: who, what, and nothing personal outside the erasable part.

use homeward_saga::Event;
use homeward_store::audit::Entry;
use homeward_types::{ProofKind, Timestamp};
use serde_json::{Value, json};

use super::Change;
use crate::saga::command::Command;
use crate::saga::data::Data;
use crate::saga::input::Input;
use crate::saga::outcome::Outcome;

/// The name of a proof's kind in the log.
pub(super) fn kind_name(kind: ProofKind) -> &'static str {
    match kind {
        ProofKind::CallBack => "call_back",
        ProofKind::ManagerVouch => "manager_vouch",
        ProofKind::SecondAddress => "second_address",
        ProofKind::Vendor => "vendor",
    }
}

/// The entries of one change.
pub(super) fn entries(change: &Change, kid: &str, now: Timestamp) -> Vec<Entry> {
    let data = &change.progress.data;
    let log = |actor: &str, action: &'static str, detail: Value| {
        let trace = change.trace.trace_id().map(str::to_owned);
        Entry::new(now, &data.organisation, actor, action, change.id.to_string()).detail(detail).trace(trace)
    };
    let mut entries = Vec::new();
    match &change.event {
        Event::Start => entries.push(started(data, &log)),
        Event::Input(input) => entries.extend(acted(input, &log)),
        Event::Tick => {}
    }
    if change.entered.contains(&"lend") {
        let approvers: Vec<&str> = data.approvers().map(homeward_types::PersonId::as_str).collect();
        let detail = json!({ "account": data.account, "approvers": approvers, "not_after": data.not_after(), "kid": kid });
        entries.push(log("homeward", "recovery.granted", detail));
    }
    if change.commands.contains(&Command::WithdrawVotes) {
        entries.push(log("homeward", "recovery.votes_withdrawn", json!({ "votes": data.votes.len() })));
    }
    if change.from.is_some() && change.progress.is_closed() {
        let end = data.lease_end().map(homeward_types::LeaseEnd::name);
        entries.push(log("homeward", "recovery.closed", json!({ "outcome": Outcome::of(data).code(), "lease_end": end })));
    }
    entries
}

fn started(data: &Data, log: &impl Fn(&str, &'static str, Value) -> Entry) -> Entry {
    if data.leave.is_some() {
        return log("homeward", "recovery.adopted", json!({ "account": data.account }));
    }
    let opening = data.opening.as_deref();
    let detail = json!({
        "account": data.account,
        "tier": data.terms.tier,
        "diagnosis": opening.map(|opening| &opening.found.code),
        "diagnosis_hash": opening.map(|opening| &opening.found.diagnosis_hash),
        "prefilled_from": opening.and_then(|opening| opening.prefilled_from),
        "proofs": data.proofs,
    });
    let entry = log(data.requester.as_str(), "recovery.requested", detail);
    match opening {
        Some(opening) if !opening.reason.is_empty() => entry.personal(opening.reason.clone()),
        Some(_) | None => entry,
    }
}

fn acted(input: &Input, log: &impl Fn(&str, &'static str, Value) -> Entry) -> Option<Entry> {
    let (entry, words) = match input {
        Input::ProofAttached { by, kind, evidence } => {
            (log(by.as_str(), "recovery.proof_attached", json!({ "kind": kind_name(*kind) })), evidence.as_str())
        }
        Input::Voted { by, approve, reason } => {
            (log(by.as_str(), "recovery.voted", json!({ "approve": approve })), reason.as_str())
        }
        Input::Cancelled { by, reason } => (log(by.as_str(), "recovery.cancelled", json!({})), reason.as_str()),
        Input::ReturnNow { by, reason } => (log(by.as_str(), "recovery.return_asked", json!({})), reason.as_str()),
        Input::ResetConfirmed { by } => (log(by.as_str(), "recovery.reset_confirmed", json!({})), ""),
        Input::Repudiated => (log("owner", "recovery.repudiated", json!({})), ""),
        Input::Enrolled { seen_at, evidence } => {
            (log("homeward", "recovery.enrolled", json!({ "seen_at": seen_at, "evidence": evidence })), "")
        }
        Input::SlotTaken
        | Input::Lease(_)
        | Input::FactorReset(_)
        | Input::FactorAbsent { .. }
        | Input::WindowCleaned { .. }
        | Input::Noticed { .. } => return None,
    };
    Some(if words.is_empty() { entry } else { entry.personal(words) })
}
