//! What one read says about a lease (pure).

pub mod store;

use homeward_types::limits::after;
use homeward_types::{AccountId, IncidentId, LeaseId, Organisation, OrganisationId, Placement, Timestamp};

use crate::copy::LeaseCopy;

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Seen out after the lease was due.
    Overdue,
    /// Seen out after the lease had ended.
    OutAfterClose,
    /// The provider did not say where the account is.
    Unreadable,
}

impl Kind {
    /// The stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::OutAfterClose => "out_after_close",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A finding, as long as it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub organisation: OrganisationId,
    /// Whose account.
    pub account: AccountId,
    /// The lease that it is about.
    pub lease: LeaseId,
    /// What.
    pub kind: &'static str,
    /// In words.
    pub sentence: String,
    /// Since when.
    pub since: Timestamp,
    /// The incident that tells people of it.
    pub incident: IncidentId,
}

/// What a read back shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whether the account is out.
    pub out: bool,
    /// Since when patrol has seen it out.
    pub first_seen_out: Option<Timestamp>,
    /// What is wrong, if anything.
    pub wrong: Option<(Kind, Timestamp)>,
    /// Whether policy is to be asked to return it: Homeward lent it, and it is overdue for too long.
    pub ask_return: bool,
}

/// Judges a read back of `lease`. A placement that is missing says that the provider did not mention the account.
pub fn judge(organisation: &Organisation, lease: &LeaseCopy, placement: Option<&Placement>, now: Timestamp) -> Shown {
    let Some(policy) = placement.and_then(|placement| placement.policy.as_ref()) else {
        // An ended lease may be of an account that is gone; only an open one must be readable.
        let wrong = lease.open.then_some((Kind::Unreadable, now));
        return Shown { out: false, first_seen_out: lease.first_seen_out, wrong, ask_return: false };
    };
    if organisation.protects(policy) {
        return Shown { out: false, first_seen_out: None, wrong: None, ask_return: false };
    }
    let first_seen_out = lease.first_seen_out.unwrap_or(now);
    let due_at = lease.due_at.unwrap_or(now);
    let overdue = lease.open && due_at < now;
    // A read of an ended lease may be behind: it must have been begun a lag after the end to say anything.
    let settled = lease
        .closed_at
        .is_some_and(|closed| placement.is_some_and(|p| p.begun_at >= after(closed, organisation.limits.read_lag)));
    let wrong = if overdue {
        Some((Kind::Overdue, due_at))
    } else {
        (!lease.open && settled).then_some((Kind::OutAfterClose, first_seen_out))
    };
    let ask_return = lease.ever_out && overdue && after(due_at, organisation.limits.overdue_incident) < now;
    Shown { out: true, first_seen_out: Some(first_seen_out), wrong, ask_return }
}

/// The finding in words.
pub fn sentence(kind: Kind, lease: &LeaseCopy, since: Timestamp) -> String {
    let at = since.format("%Y-%m-%d %H:%M:%S UTC");
    match kind {
        Kind::Overdue => format!("account {} is still out although its lease {} was due at {at}", lease.account, lease.id),
        Kind::OutAfterClose => format!(
            "account {} is out although its lease {} has ended ({}); seen since {at}",
            lease.account, lease.id, lease.ended
        ),
        Kind::Unreadable => {
            format!("the provider does not say where account {} of the open lease {} is", lease.account, lease.id)
        }
    }
}

#[cfg(test)]
mod tests;
