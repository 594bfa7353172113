//! The audit log's reads: the stream to poll, the query, and which actions there are.

use axum::extract::{Path, Query, State};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::organisation::events::{ACTIONS, Action, Event, Position};
use crate::organisation::{Organisation, timestamp};
use crate::state::Sim;
use crate::timeline::Moment;
use crate::well_known::{ADMINISTRATOR, ORGANISATION};

use super::answer::{self, Answer, Refusal};
use super::cursor;
use super::endpoint::Family;

const ORGANISATIONS: Family = Family::Organisations;
/// The documented most events on a page, for both reads.
const MOST: usize = 500;

#[derive(Deserialize)]
pub(super) struct Ask {
    cursor: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<String>,
    action: Option<String>,
}

/// What was asked, checked.
struct Window {
    position: Position,
    from: Moment,
    to: Moment,
    limit: usize,
}

impl Ask {
    fn window(&self, now: Moment, page: usize) -> Result<Window, Refusal> {
        let bad = |code: &str, detail: &str| Refusal::from(ORGANISATIONS.bad_request(code, detail));
        let ms = |text: &Option<String>| text.as_deref().map(str::parse::<i64>).transpose();
        let dates = ms(&self.from).and_then(|from| ms(&self.to).map(|to| (from, to)));
        let (from, to) = dates.map_err(|_| bad("ADMIN-400-3", "from and to must be epoch milliseconds."))?;
        let limit = self.limit.as_deref().map(str::parse::<usize>).transpose();
        let limit = limit.ok().map(|limit| limit.unwrap_or(page)).filter(|limit| (1..=MOST).contains(limit));
        let limit = limit.ok_or_else(|| bad("ADMIN-400-19", "limit must be between 1 and 500."))?;
        let position = match self.cursor.as_deref().map(cursor::decode::<Position>) {
            None => (Moment::MIN, 0),
            Some(Some(position)) => position,
            Some(None) => return Err(bad("ADMIN-400-1", "The cursor is invalid.")),
        };
        let micros = |ms: i64| ms.saturating_mul(1_000);
        Ok(Window { position, from: from.map_or(Moment::MIN, micros), to: to.map_or(now, micros).min(now), limit })
    }
}

/// `GET /admin/v1/orgs/{orgId}/events-stream`: in order of processing; the last page's cursor may be kept and used
/// later for what came after.
pub(super) async fn stream(State(sim): State<Sim>, Path(org): Path<String>, Query(ask): Query<Ask>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let organisation = sim.organisation();
    let now = organisation.now();
    let window = ask.window(now, 200)?;
    let descending = ask.sort_order.as_deref() == Some("desc");
    let after = organisation.events.after(window.position, window.to).filter(|event| event.processed >= window.from);
    let found: Vec<Event> =
        if descending { after.rev().take(window.limit).copied().collect() } else { after.take(window.limit).copied().collect() };
    let position = found.last().filter(|_| !descending).map_or(window.position, |event| (event.processed, event.number));
    let events: Vec<Value> = found.iter().map(|event| value(&organisation, event, true)).collect();
    let next = cursor::encode(&position);
    let url = format!("{}/admin/v1/orgs/{org}/events-stream?cursor={next}", sim.provider_url);
    let more = found.len() == window.limit;
    Ok(answer::ok(&json!({
        "data": events,
        "meta": { "next": next, "page_size": found.len() },
        "links": { "self": null, "prev": null, "next": more.then_some(url) },
    })))
}

/// `GET /admin/v1/orgs/{orgId}/events`: newest first, by the time of the event.
pub(super) async fn query(State(sim): State<Sim>, Path(org): Path<String>, Query(ask): Query<Ask>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let organisation = sim.organisation();
    let now = organisation.now();
    let window = ask.window(now, 30)?;
    // Newest first: the cursor names the oldest event that was shown.
    let until = if ask.cursor.is_some() { window.position } else { (now, u64::MAX) };
    let wanted = |event: &&Event| {
        (event.processed, event.number) < until
            && (window.from..=window.to).contains(&event.time)
            && ask.action.as_deref().is_none_or(|action| action == event.action.id())
    };
    let mut matching = organisation.events.after((Moment::MIN, 0), now).rev().filter(wanted);
    let found: Vec<Event> = matching.by_ref().take(window.limit).copied().collect();
    let more = matching.next().is_some();
    let next = found.last().filter(|_| more).map(|event| cursor::encode(&(event.processed, event.number)));
    let events: Vec<Value> = found.iter().map(|event| value(&organisation, event, false)).collect();
    let url = next.as_ref().map(|next| format!("{}/admin/v1/orgs/{org}/events?cursor={next}", sim.provider_url));
    Ok(answer::ok(&json!({
        "data": events,
        "meta": { "next": next, "page_size": found.len() },
        "links": { "self": null, "prev": null, "next": url },
    })))
}

/// `GET /admin/v1/orgs/{orgId}/event-actions`
pub(super) async fn actions(Path(org): Path<String>) -> Answer {
    answer::know_organisation(ORGANISATIONS, &org)?;
    let action = |action: Action| {
        json!({
            "id": action.id(), "type": "event-actions",
            "attributes": {
                "displayName": action.display_name(),
                "groupDisplayName": action.group(), "groupDisplayNames": [action.group()],
            },
        })
    };
    let actions: Vec<Value> = ACTIONS.into_iter().map(action).collect();
    Ok(answer::ok(&json!({ "data": actions })))
}

fn value(organisation: &Organisation, event: &Event, processed: bool) -> Value {
    let account = &organisation.accounts[event.subject];
    let time = |moment: Moment| timestamp(moment).to_rfc3339_opts(SecondsFormat::Millis, true);
    let by_person = matches!(event.action, Action::SignedIn | Action::FactorEnrolled);
    let actor = if by_person {
        json!({ "id": &*account.id, "name": &*account.name, "email": &**account.email.now() })
    } else {
        json!({ "id": ADMINISTRATOR.id, "name": ADMINISTRATOR.name, "email": ADMINISTRATOR.email })
    };
    let policy = event.policy.map(|policy| &organisation.policies[policy]);
    let container = policy.map_or_else(
        || json!({ "id": ORGANISATION, "type": "orgs", "attributes": {} }),
        |policy| json!({ "id": policy.id, "type": "auth-policy", "attributes": { "name": policy.name } }),
    );
    let mut attributes = json!({
        "time": time(event.time),
        "action": event.action.id(),
        "actor": actor,
        "context": [{
            "id": &*account.id, "type": "users",
            "attributes": { "name": &*account.name, "email": &**account.email.now() },
        }],
        "container": [container],
        "location": null,
    });
    if processed {
        attributes["processedAt"] = time(event.processed).into();
    }
    json!({
        "id": format!("00000000-0000-4000-8000-{:012x}", event.number), "type": "events", "attributes": attributes,
        "message": { "content": event.action.display_name(), "format": "simple" }, "links": {},
    })
}
