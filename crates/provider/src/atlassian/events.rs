//! The audit log in the order in which the provider processed it, and the names of its actions.

use homeward_types::{AccountId, Email, Timestamp};
use serde_json::Value;

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::json::{list, moment, text};
use super::paths::{EVENT_ACTIONS, EVENTS_STREAM};
use super::settings::EventActions;
use super::users::cursor_of;
use crate::account::Cursor;
use crate::event::{Event, EventKind, EventPage};
use crate::priority::Priority;

/// Events in one answer (2.2: at most 500).
const PAGE: usize = 500;

/// An action of the audit log, as the provider describes it. For the administrator who maps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventAction {
    /// Its id, as events carry it.
    pub id: String,
    /// What the admin pages call it.
    pub display_name: String,
}

impl AtlassianProvider {
    pub(super) async fn events(&self, cursor: Option<&Cursor>, from: Timestamp, priority: Priority) -> Result<EventPage, Failed> {
        let call = Call::new(&EVENTS_STREAM, priority).query("limit", PAGE.to_string());
        let call = match cursor {
            Some(cursor) => call.query("cursor", cursor.as_str()),
            None => call.query("from", from.timestamp_millis().to_string()),
        };
        let actions = &self.client.settings().event_actions;
        self.client.send(call).await?.parse(|body| parse_events(body, cursor, actions))
    }

    /// The actions that the audit log knows, for the mapping in [`EventActions`]. Not paged.
    ///
    /// # Errors
    /// [`crate::ProviderError`].
    pub async fn event_actions(&self, priority: Priority) -> Result<Vec<EventAction>, crate::ProviderError> {
        let answer = self.client.send(Call::new(&EVENT_ACTIONS, priority)).await?;
        Ok(answer.parse(parse_actions)?)
    }
}

/// A page of the stream. Where it names no next cursor, the one that was asked with stays good.
pub(super) fn parse_events(body: &Value, asked: Option<&Cursor>, actions: &EventActions) -> Result<EventPage, String> {
    let data = body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of events")?;
    let next = body.get("meta").and_then(|meta| text(meta, "next")).map(Cursor::new);
    let next = next.or_else(|| cursor_of(body.get("links").and_then(|links| text(links, "next"))?)).or_else(|| asked.cloned());
    let events: Vec<Event> = data.iter().filter_map(|entry| event(entry, actions)).collect();
    if events.len() < data.len() {
        tracing::warn!(unreadable = data.len() - events.len(), "events without an id, an action or a time were left out");
    }
    Ok(EventPage { events, more: data.len() >= PAGE && next.as_ref() != asked, next })
}

fn event(entry: &Value, actions: &EventActions) -> Option<Event> {
    let attributes = entry.get("attributes")?;
    let action = text(attributes, "action")?;
    let kind = kind(action, actions);
    let actor = attributes.get("actor").and_then(|actor| account(text(actor, "id")?));
    let context = || list(attributes, "context").iter().filter(|thing| text(thing, "type").is_some_and(names_a_person));
    let mut subjects: Vec<AccountId> = context().filter_map(|thing| account(text(thing, "id")?)).collect();
    if subjects.is_empty() && matches!(kind, EventKind::SignedIn | EventKind::FactorEnrolled) {
        subjects.extend(actor.clone());
    }
    let address = |thing: &Value| -> Option<Email> { text(thing.get("attributes")?, "email")?.parse().ok() };
    Some(Event {
        id: text(entry, "id")?.to_owned(),
        at: moment(attributes, "time")?,
        kind,
        action: action.to_owned(),
        actor,
        subjects,
        subject_emails: context().filter_map(address).collect(),
    })
}

fn kind(action: &str, actions: &EventActions) -> EventKind {
    [
        (&actions.signed_in, EventKind::SignedIn),
        (&actions.factor_removed, EventKind::FactorRemoved),
        (&actions.factor_enrolled, EventKind::FactorEnrolled),
        (&actions.policy_changed, EventKind::PolicyChanged),
    ]
    .into_iter()
    .find_map(|(ids, kind)| ids.contains(action).then_some(kind))
    .unwrap_or(EventKind::Other)
}

fn names_a_person(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.contains("user") || kind.contains("account")
}

/// An account id, bare or at the end of a resource name.
fn account(id: &str) -> Option<AccountId> {
    id.rsplit('/').next()?.parse().ok()
}

pub(super) fn parse_actions(body: &Value) -> Result<Vec<EventAction>, String> {
    let data = body.get("data").and_then(Value::as_array).ok_or("the answer holds no list of actions")?;
    let action = |entry: &Value| {
        let display_name = entry.get("attributes").and_then(|attributes| text(attributes, "displayName"));
        Some(EventAction { id: text(entry, "id")?.to_owned(), display_name: display_name.unwrap_or_default().to_owned() })
    };
    Ok(data.iter().filter_map(action).collect())
}
