//! What one read says about a lease (pure).

pub mod store;

use homeward_types::limits::after;
use homeward_types::{AccountId, IncidentId, LeaseId, Organisation, OrganisationId, Placement, PolicyId, Timestamp};

use crate::copy::LeaseCopy;

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Seen out after the lease was due.
    Overdue,
    /// Seen out after the lease had ended, while a late effect of ours may explain it.
    OutAfterClose,
    /// In the recovery policy without an open lease, and no effect of ours explains it.
    Stray,
    /// The provider did not say where the account is.
    Unreadable,
}

impl Kind {
    /// The stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::OutAfterClose => "out_after_close",
            Self::Stray => "stray",
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
    /// Whether people are to be told by now.
    pub tell: bool,
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
    /// Whether policy is to be asked to return it: Homeward lent it, nobody released it, and it is overdue for too long or
    /// out without a lease.
    pub ask_return: bool,
}

/// Judges a read back of `lease`. A placement that is missing says that the provider did not mention the account. `held` says
/// whether the account has an open lease: then it is out by right, whatever became of another one.
pub fn judge(organisation: &Organisation, lease: &LeaseCopy, placement: Option<&Placement>, held: bool, now: Timestamp) -> Shown {
    let Some((placement, policy)) = placement.and_then(|placement| Some((placement, placement.policy.as_ref()?))) else {
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
    let wrong = if overdue {
        Some((Kind::Overdue, due_at))
    } else if lease.open || held || lease.is_released() {
        None
    } else {
        after_the_end(organisation, lease, placement, policy).map(|kind| (kind, first_seen_out))
    };
    let without_lease = matches!(wrong, Some((Kind::OutAfterClose | Kind::Stray, _))) && !lease.is_never_lent();
    let long_overdue = lease.ever_out && overdue && after(due_at, organisation.limits.overdue_incident) < now;
    let ask_return = long_overdue || without_lease;
    Shown { out: true, first_seen_out: Some(first_seen_out), wrong, ask_return }
}

/// What it means that an account without a lease is out.
fn after_the_end(organisation: &Organisation, lease: &LeaseCopy, placement: &Placement, policy: &PolicyId) -> Option<Kind> {
    let limits = &organisation.limits;
    // A read of an ended lease may be behind: it must have been begun a lag after the end to say anything.
    let settled = lease.closed_at.is_some_and(|closed| placement.begun_at >= after(closed, limits.read_lag));
    if !settled {
        return None;
    }
    let may_be_ours = lease.late_until(limits).is_some_and(|until| placement.begun_at <= until) && !lease.is_never_lent();
    match (may_be_ours, *policy == organisation.recovery_policy) {
        (true, _) => Some(Kind::OutAfterClose),
        (false, true) => Some(Kind::Stray),
        // Moved by hand to where Homeward moves nobody.
        (false, false) => None,
    }
}

/// Whether people are to be told of it by now. An account is often out for a moment after its lease was due, and a read that
/// says nothing is a matter for the report.
pub fn is_told(organisation: &Organisation, kind: Kind, since: Timestamp, now: Timestamp) -> bool {
    match kind {
        Kind::Overdue => after(since, organisation.limits.overdue_incident) < now,
        Kind::OutAfterClose | Kind::Stray => true,
        Kind::Unreadable => false,
    }
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
        Kind::Stray => format!(
            "account {} is in the recovery policy without a lease; its last one, {}, has ended ({}); seen since {at}",
            lease.account, lease.id, lease.ended
        ),
        Kind::Unreadable => {
            format!("the provider does not say where account {} of the open lease {} is", lease.account, lease.id)
        }
    }
}

#[cfg(test)]
mod tests;
