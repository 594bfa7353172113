//! Incidents as the other services see them.

use homeward_messaging::NewMessage;
use homeward_proto::policy::v1;
use homeward_proto::wire::timestamp;

use super::Incident;

/// The message that tells of an incident.
pub fn message(incident: &Incident) -> NewMessage {
    let payload = v1::IncidentOpened {
        incident: incident.id.to_string(),
        organisation: incident.organisation.to_string(),
        account: incident.account.as_ref().map(ToString::to_string).unwrap_or_default(),
        lease: incident.lease.map(|lease| lease.to_string()).unwrap_or_default(),
        kind: incident.kind.into(),
        sentence: incident.sentence.clone(),
        next_action: incident.next_action.clone(),
        next_at: incident.next_at.map(timestamp),
        safe_action: incident.safe_action.clone(),
    };
    let correlation = incident.lease.map_or(incident.id.uuid(), homeward_types::Id::uuid);
    NewMessage::new(
        "policy.event.incident-opened.v1",
        incident.organisation.clone(),
        correlation,
        incident.id.to_string(),
        &payload,
    )
}
