//! Leases, pure: what a lease is, what readings mean to it, and every decision about it.
//!
//! A lease is the permission to be in the recovery policy until `due_at`. Its way is
//! `opening → active → closing → settling → closed`, forward only, except that a read which shows the account out leads from
//! settling back to closing. [`decide`] takes a lease, its live attempts, an event and the time, and says what is to be kept
//! and told. There is no clock, no I/O and no randomness in this module, states are `Clone + Eq + Hash + Ord` and time is
//! an ordinal: the same functions run in production, in property tests and in a model checker.

mod attempt;
mod decide;
mod event;
mod sight;
pub mod store;
mod terms;
pub mod wire;

pub use attempt::{Attempt, AttemptState, Destination, Kind, settled_from};
pub use decide::{Alarm, Decision, News, VersionShown, decide};
pub use event::{Answer, Asked, Event, Found, LookKind, Opened, Refused, Sending, Subject};
pub use sight::{Missed, OutSight, Place, Reading, Run, Seen, Sight, judge};
pub use terms::{Terms, earlier};

use homeward_types::{AccountId, Factor, LeaseEnd, LeaseId, OrganisationId, PlacementVersion, PolicyId, Refusal, Timestamp};

/// How a lease came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Recovery granted it.
    Lend,
    /// The account was found out although nobody lent it: our own write hit an unexpected holder of an address.
    Adopted,
    /// The account was seen out again after its earlier lease had ended.
    Reopened,
}

impl Origin {
    /// The origin's stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lend => "lend",
            Self::Adopted => "adopted",
            Self::Reopened => "reopened",
        }
    }
}

/// Where a lease stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The row is committed; the account was not seen out yet.
    Opening,
    /// The account was seen out.
    Active,
    /// The account is being returned.
    Closing,
    /// The account was seen at an end, but a lend of unknown outcome may still take effect.
    Settling,
    /// Over.
    Closed(Ending),
}

/// The facts of a closed lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ending {
    /// How it ended.
    pub end: LeaseEnd,
    /// When (our clock).
    pub at: Timestamp,
    /// Why it was never lent, where policy refused it.
    pub refusal: Option<Refusal>,
}

impl State {
    /// The state's stored and printed name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Settling => "settling",
            Self::Closed(_) => "closed",
        }
    }
}

/// A lease as it stands. Changes only by [`decide`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact about the lease, with a column of its own")]
pub struct Lease {
    /// Which: the recovery's id, or one of its own where there is no recovery.
    pub id: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose.
    pub account: AccountId,
    /// How it came to be.
    pub origin: Origin,
    /// Grows with each change.
    pub version: i64,
    /// Where it stands.
    pub state: State,
    /// The mandatory policy that the account must return to. Never the recovery policy.
    pub home: PolicyId,
    /// The version of the account's placement at home: as read before the lend, and at least what the account's earlier leases
    /// have seen.
    pub home_version: Option<PlacementVersion>,
    /// The policy that the account was lent to.
    pub recovery_policy: PolicyId,
    /// The factor as read before the lend: whether to reset is decided by it.
    pub factor_at_lend: Factor,
    /// When the row was committed (our clock).
    pub opened_at: Timestamp,
    /// When policy ends it by itself.
    pub due_at: Timestamp,
    /// The limits that it opened with; it keeps them.
    pub terms: Terms,
    /// What was seen of the account since.
    pub sight: Sight,
    /// Why it is being, or was, returned.
    pub return_reason: Option<String>,
    /// Since when it is being returned.
    pub returning_at: Option<Timestamp>,
    /// When the next return is to be tried, if none is ready or on its way.
    pub return_at: Option<Timestamp>,
    /// Failed tries of the return so far.
    pub failed_returns: u32,
    /// Attempts made so far: the number of the newest.
    pub attempts: u32,
    /// An attempt was once of unknown outcome: tail reads follow the end.
    pub was_unknown: bool,
    /// Two persons released it; it closes as soon as no lend can take effect any more.
    pub released: bool,
    /// It was open past `due_at`.
    pub overdue: bool,
    /// The account is disabled at the provider.
    pub contained: bool,
    /// That it is overdue for too long was told.
    pub overdue_told: bool,
    /// Reads since the last write or news; the wait between two reads grows with it.
    pub reads: u32,
    /// When the account is to be read next.
    pub next_read_at: Option<Timestamp>,
    /// When time itself changes something: [`Event::Tick`] is due.
    pub tick_at: Option<Timestamp>,
}

impl Lease {
    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed(_))
    }

    /// How it ended.
    pub fn end(&self) -> Option<&LeaseEnd> {
        match &self.state {
            State::Closed(ending) => Some(&ending.end),
            State::Opening | State::Active | State::Closing | State::Settling => None,
        }
    }

    /// The newest placement version that it knows: of home before the lend, and of everything seen since.
    pub fn newest_version(&self) -> Option<PlacementVersion> {
        self.home_version.max(self.sight.newest_version())
    }

    /// Whether a lend under it may still be sent at `now` (architecture: checked again when it is marked `sent`).
    pub fn lends_at(&self, now: Timestamp) -> bool {
        self.state == State::Opening && now < self.lends_until()
    }

    /// From here on a lend would leave less than the useful window before `due_at`.
    pub fn lends_until(&self) -> Timestamp {
        earlier(self.due_at, self.terms.useful_window)
    }
}

#[cfg(test)]
mod tests;
