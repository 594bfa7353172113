//! Commands as events, rows and lines.

use std::time::Duration;

use homeward_types::{Organisation, PlacementVersion, PolicyId, Refusal, Timestamp};

use super::Command;
use super::facts::Allowed;
use crate::lease::{Event, Opened, Refused, Subject, Terms, decide};
use crate::ledger::Happened;
use crate::opening_log::Line;

/// Who asks for lends, in the audit log.
const RECOVERY: &str = "recovery";

/// `seen_before`: the newest placement version that the account's earlier leases know.
pub(super) fn accept(
    command: &Command,
    settings: &Organisation,
    allowed: &Allowed,
    seen_before: Option<PlacementVersion>,
) -> Happened {
    happened(command, Event::LendAccepted(Opened { seen_before, ..opened(command, settings, allowed) }))
}

pub(super) fn refuse(command: &Command, settings: &Organisation, refusal: Refusal) -> Happened {
    let subject = subject(command, settings, &settings.default_home);
    happened(command, Event::LendRefused(Refused { subject, refusal }))
}

fn happened(command: &Command, event: Event) -> Happened {
    Happened {
        lease: command.grant.lease,
        event,
        actor: RECOVERY.into(),
        cause: Some(command.message),
        trace: command.trace.clone(),
        receipt: None,
    }
}

fn opened(command: &Command, settings: &Organisation, allowed: &Allowed) -> Opened {
    Opened {
        subject: subject(command, settings, &allowed.home),
        home_version: allowed.home_version,
        seen_before: None,
        factor: allowed.factor,
        lasts: lasts(settings, command),
        not_after: command.grant.not_after,
    }
}

/// Policy has its own maximum, whatever the grant says.
pub(super) fn lasts(settings: &Organisation, command: &Command) -> Duration {
    Duration::from_micros(u64::try_from(command.grant.lease_micros).unwrap_or(0)).min(settings.limits.lease)
}

fn subject(command: &Command, settings: &Organisation, home: &PolicyId) -> Subject {
    Subject {
        lease: command.grant.lease,
        organisation: settings.id.clone(),
        account: command.grant.account.clone(),
        home: home.clone(),
        recovery_policy: settings.recovery_policy.clone(),
        terms: Terms::from(&settings.limits),
    }
}

/// The line of the lease that the lend would open.
pub(super) fn line(settings: &Organisation, command: &Command, allowed: &Allowed, now: Timestamp) -> Option<Line> {
    let event = Event::LendAccepted(opened(command, settings, allowed));
    decide(None, &[], &event, now).lease.as_ref().map(Line::opened)
}
