//! What the audit log, and a crash test, learn of decisions.

use homeward_store::audit::Entry;
use homeward_types::Timestamp;
use serde_json::{Value, json};

use super::Happened;
use crate::lease::{Answer, Decision, Event, Place};

/// The audit entry of a decision; `None` where nothing was decided, only looked at or put off.
pub(super) fn entry(what: &Happened, decision: &Decision, now: Timestamp) -> Option<Entry> {
    let lease = decision.lease.as_ref()?;
    let noteworthy = decision.news.is_some() || !decision.attempts.is_empty() || !decision.alarms.is_empty();
    if !decision.changed || !(noteworthy || matches!(what.event, Event::Contained(_) | Event::Released)) {
        return None;
    }
    let mut detail = json!({ "account": lease.account, "state": lease.state.name(), "version": lease.version });
    if let Some(end) = lease.end() {
        detail["end"] = json!(end.to_string());
    }
    if let Some(news) = decision.news {
        detail["news"] = json!(news.name());
    }
    if !decision.attempts.is_empty() {
        detail["attempts"] = decision.attempts.iter().map(|a| json!([a.number, a.kind.name(), a.state.name()])).collect();
    }
    add_event(&mut detail, &what.event);
    let entry = Entry::new(now, &lease.organisation, what.actor.clone(), action(&what.event), lease.id.to_string())
        .detail(detail)
        .trace(what.trace.trace_id().map(ToOwned::to_owned));
    Some(match &what.event {
        Event::ReturnAsked(asked) => entry.personal(asked.reason.clone()),
        // What a provider says may hold an address.
        Event::AttemptAnswered {
            answer: Answer::Refused { detail, .. } | Answer::Impossible { detail } | Answer::Unknown { detail },
            ..
        } => entry.personal(detail.clone()),
        Event::LendAccepted(_)
        | Event::LendRefused(_)
        | Event::AttemptSent(_)
        | Event::AttemptAnswered { answer: Answer::Accepted, .. }
        | Event::Read { .. }
        | Event::Due
        | Event::Missed { .. }
        | Event::Released
        | Event::HomeLost { .. }
        | Event::FoundOut(_)
        | Event::Woken
        | Event::Contained(_)
        | Event::Tick => entry,
    })
}

fn add_event(detail: &mut Value, event: &Event) {
    if let Event::Read { reading, .. } = event {
        detail["read"] = json!({
            "policy": match &reading.place {
                Place::Protecting(policy) | Place::Out(policy) => Some(policy),
                Place::Nowhere => None,
            },
            "version": reading.version,
            "begun_at": reading.begun_at,
        });
    }
    if let Event::LendRefused(refused) = event {
        detail["refusal"] = json!(refused.refusal.name());
    }
}

fn action(event: &Event) -> &'static str {
    match event {
        Event::LendAccepted(_) => "lease.open",
        Event::LendRefused(_) => "lease.refuse",
        Event::AttemptSent(_) => "attempt.send",
        Event::AttemptAnswered { answer, .. } => match answer {
            Answer::Accepted => "attempt.accepted",
            Answer::Refused { .. } | Answer::Impossible { .. } => "attempt.not_taken",
            Answer::Unknown { .. } => "attempt.unknown",
        },
        Event::Read { .. } => "lease.read",
        Event::ReturnAsked(_) => "lease.return",
        Event::Due => "lease.due",
        Event::Missed { .. } => "lease.missed",
        Event::Released => "lease.release",
        Event::HomeLost { .. } => "lease.home_lost",
        Event::FoundOut(_) => "lease.adopt",
        Event::Woken => "lease.wake",
        Event::Contained(true) => "account.contain",
        Event::Contained(false) => "account.uncontain",
        Event::Tick => "lease.tick",
    }
}

/// The saga's state, as a crash test counts it: what policy's commit is about.
pub(super) fn boundary_state(happened: &[Happened]) -> &'static str {
    happened.first().map_or("nothing", |what| match &what.event {
        Event::LendAccepted(_) | Event::LendRefused(_) | Event::AttemptSent(_) => "lend",
        Event::AttemptAnswered { .. } | Event::Read { .. } | Event::Missed { .. } => "read",
        Event::ReturnAsked(_) | Event::Due | Event::HomeLost { .. } | Event::FoundOut(_) | Event::Woken => "return",
        Event::Released | Event::Contained(_) | Event::Tick => "keep",
    })
}
