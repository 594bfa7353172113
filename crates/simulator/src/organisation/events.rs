//! The organisation's audit log as the provider shows it: late, in order of processing, and only for so long.

use std::collections::BTreeMap;

use crate::account::Status;
use crate::timeline::Moment;

use super::{Organisation, micros};

/// More events than this are not kept; the oldest go first.
const KEPT: usize = 200_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    SignedIn,
    FactorReset,
    FactorEnrolled,
    Moved,
    Deactivated,
    Reactivated,
    EmailChanged,
    TokenRevoked,
}

/// Every action that the log knows.
pub(crate) const ACTIONS: [Action; 8] = [
    Action::SignedIn,
    Action::FactorReset,
    Action::FactorEnrolled,
    Action::Moved,
    Action::Deactivated,
    Action::Reactivated,
    Action::EmailChanged,
    Action::TokenRevoked,
];

impl Action {
    /// The id. Only `user_login` and `twosv_disabled_for_user` are confirmed; the others are ours, as an adapter must
    /// learn ids from `event-actions` and never know them.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::SignedIn => "user_login",
            Self::FactorReset => "twosv_disabled_for_user",
            Self::FactorEnrolled => "twosv_enabled_by_user",
            Self::Moved => "auth_policy_members_added",
            Self::Deactivated => "account_deactivated",
            Self::Reactivated => "account_reactivated",
            Self::EmailChanged => "account_email_changed",
            Self::TokenRevoked => "account_api_token_revoked",
        }
    }

    /// What people read in the audit log.
    pub(crate) const fn display_name(self) -> &'static str {
        match self {
            Self::SignedIn => "Logged in to account",
            Self::FactorReset => "Disabled two-step verification for user",
            Self::FactorEnrolled => "Enabled two-step verification",
            Self::Moved => "Added members to authentication policy",
            Self::Deactivated => "Deactivated account",
            Self::Reactivated => "Reactivated account",
            Self::EmailChanged => "Changed email address",
            Self::TokenRevoked => "Revoked API token",
        }
    }

    /// The group that the log lists it under.
    pub(crate) const fn group(self) -> &'static str {
        match self {
            Self::Moved => "Authentication policies",
            Self::SignedIn
            | Self::FactorReset
            | Self::FactorEnrolled
            | Self::Deactivated
            | Self::Reactivated
            | Self::EmailChanged
            | Self::TokenRevoked => "Atlassian accounts",
        }
    }
}

/// One event of the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) number: u64,
    pub(crate) time: Moment,
    pub(crate) processed: Moment,
    pub(crate) action: Action,
    /// The account that it is about.
    pub(crate) subject: usize,
    /// The policy, for a move.
    pub(crate) policy: Option<usize>,
}

/// Where a reader of the stream stands: after the event that was processed then and has this number.
pub(crate) type Position = (Moment, u64);

/// The log, in order of processing.
#[derive(Debug, Default)]
pub(crate) struct Events {
    log: BTreeMap<Position, Event>,
}

impl Events {
    /// Events processed after `position` and no later than `until`, oldest first.
    pub(crate) fn after(&self, position: Position, until: Moment) -> impl DoubleEndedIterator<Item = &Event> {
        let end = (until, u64::MAX);
        let after = (position.0, position.1.saturating_add(1)).min(end);
        self.log.range(after..=end).map(|(_, event)| event)
    }
}

impl Organisation {
    pub(super) fn record(&mut self, subject: usize, time: Moment, action: Action, policy: Option<usize>) {
        let lag = self.settings.lateness.event_lag;
        let late = micros(self.draw((std::time::Duration::ZERO, lag)));
        // Never before the present: a reader's cursor may already stand there.
        let processed = time.saturating_add(late).max(self.now);
        let number = self.next_number();
        self.events.log.insert((processed, number), Event { number, time, processed, action, subject, policy });
        if self.events.log.len() > KEPT {
            self.events.log.pop_first();
        }
    }

    pub(super) fn record_move(&mut self, subject: usize, time: Moment, policy: usize) {
        self.record(subject, time, Action::Moved, Some(policy));
    }

    pub(super) fn record_status(&mut self, subject: usize, time: Moment, status: Status) {
        match status {
            Status::Active => self.record(subject, time, Action::Reactivated, None),
            Status::Inactive | Status::Closed => self.record(subject, time, Action::Deactivated, None),
        }
    }
}
