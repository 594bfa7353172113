//! Between the wire's notices and ours.

use homeward_messaging::NewMessage;
use homeward_messaging::Received;
use homeward_proto::notification::v1::{Delivery, NoticeAccepted, NoticeFailed, NoticeKind, SendNotice};
use homeward_proto::wire::{WireError, parse, timestamp};
use homeward_types::Timestamp;
use uuid::Uuid;

use crate::delivery::store::Standing;
use crate::delivery::{Ended, Kind, Notice};

/// Reads the command, for a worker that claims it until then; what it lacks is poison.
pub fn notice(received: &Received, command: SendNotice, claimed_until: Timestamp) -> Result<Notice, WireError> {
    if command.delivery_key.is_empty() || command.delivery_key.len() > 200 {
        return Err(WireError::invalid("delivery_key", "must have 1 to 200 characters"));
    }
    let kind = kind_of(command.kind()).ok_or(WireError::missing("kind"))?;
    Ok(Notice {
        delivery_key: command.delivery_key,
        recovery: command.recovery,
        organisation: parse("organisation", &command.organisation)?,
        kind,
        recipient_name: command.recipient_name,
        recipient_email: command.recipient_email,
        fields: command.fields.into_iter().collect(),
        attempts: 0,
        trace: received.trace(),
        message: received.envelope.id,
        claimed_until,
    })
}

/// The answer to the command, for a notice that has come to its end.
pub fn answer(notice: &Notice, ended: &Ended) -> NewMessage {
    let (recovery, kind) = (notice.recovery.clone(), wire_kind(notice.kind).into());
    let delivery_key = notice.delivery_key.clone();
    let correlation = notice.recovery.parse().unwrap_or(Uuid::nil());
    let message = match ended {
        Ended::Accepted => NewMessage::new(
            "notification.event.notice-accepted.v1",
            notice.organisation.clone(),
            correlation,
            &notice.delivery_key,
            &NoticeAccepted { delivery_key, recovery, kind },
        ),
        Ended::Failed { problem } => NewMessage::new(
            "notification.event.notice-failed.v1",
            notice.organisation.clone(),
            correlation,
            &notice.delivery_key,
            &NoticeFailed { delivery_key, recovery, kind, problem: problem.clone() },
        ),
    };
    message.caused_by(notice.message).within(notice.trace.clone()).in_state("notice")
}

/// A delivery as people are shown it.
pub fn delivery(standing: Standing) -> Delivery {
    Delivery {
        delivery_key: standing.delivery_key,
        recovery: standing.recovery,
        kind: Kind::of_word(&standing.kind).map_or(NoticeKind::Unspecified, wire_kind).into(),
        recipient: masked(&standing.recipient_email),
        state: standing.state,
        attempts: standing.attempts,
        accepted_at: standing.accepted_at.map(timestamp),
        receipt: standing.receipt,
        problem: standing.problem,
    }
}

fn kind_of(kind: NoticeKind) -> Option<Kind> {
    match kind {
        NoticeKind::Unspecified => None,
        NoticeKind::Requested => Some(Kind::Requested),
        NoticeKind::ApprovalNeeded => Some(Kind::ApprovalNeeded),
        NoticeKind::ResetNeeded => Some(Kind::ResetNeeded),
        NoticeKind::Invitation => Some(Kind::Invitation),
        NoticeKind::Reminder => Some(Kind::Reminder),
        NoticeKind::Closed => Some(Kind::Closed),
        NoticeKind::Incident => Some(Kind::Incident),
    }
}

const fn wire_kind(kind: Kind) -> NoticeKind {
    match kind {
        Kind::Requested => NoticeKind::Requested,
        Kind::ApprovalNeeded => NoticeKind::ApprovalNeeded,
        Kind::ResetNeeded => NoticeKind::ResetNeeded,
        Kind::Invitation => NoticeKind::Invitation,
        Kind::Reminder => NoticeKind::Reminder,
        Kind::Closed => NoticeKind::Closed,
        Kind::Incident => NoticeKind::Incident,
    }
}

/// An address as it may be kept and shown; one that is not an address shows as nothing.
pub fn masked(email: &str) -> String {
    email
        .parse::<homeward_types::Email>()
        .map_or_else(|_| email.chars().filter(|c| !c.is_alphanumeric()).collect(), |email| email.masked())
}
