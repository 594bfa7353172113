//! Attempts: one write at the provider under a lease, and what is known of its outcome.

use homeward_types::{LeaseId, PolicyId, Timestamp};

use super::{Lease, State, Terms};

/// Where a move can lead. Nothing else can be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The organisation's recovery policy.
    Recovery,
    /// The home of this lease.
    Home(LeaseId),
}

impl Destination {
    /// The provider's policy that it stands for; `None` if it is another lease's home.
    pub fn policy(self, lease: &Lease) -> Option<&PolicyId> {
        match self {
            Self::Recovery => Some(&lease.recovery_policy),
            Self::Home(of) if of == lease.id => Some(&lease.home),
            Self::Home(_) => None,
        }
    }
}

/// What an attempt is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Move the account into the recovery policy.
    Lend,
    /// Move it home.
    Return,
}

impl Kind {
    /// The kind's stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lend => "lend",
            Self::Return => "return",
        }
    }

    /// Where an attempt of this kind under `lease` leads.
    pub fn destination(self, lease: LeaseId) -> Destination {
        match self {
            Self::Lend => Destination::Recovery,
            Self::Return => Destination::Home(lease),
        }
    }
}

/// What is known of an attempt (rule 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptState {
    /// To be sent. Never marked `sent`, so it cannot have happened.
    Ready,
    /// Marked before the write. It may be on its way, or the provider has accepted it, which proves nothing.
    Sent {
        /// Its last possible send.
        claimed_until: Timestamp,
        /// The provider accepted it.
        accepted: bool,
    },
    /// It was the only one that can have done what was seen.
    Taken,
    /// The provider proved that it had no effect.
    NotTaken,
    /// It may have happened, or may still happen.
    Unknown {
        /// Its last possible send.
        claimed_until: Timestamp,
    },
    /// Withdrawn before it was ever sent.
    Void,
}

impl AttemptState {
    /// The state's stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Sent { .. } => "sent",
            Self::Taken => "taken",
            Self::NotTaken => "not_taken",
            Self::Unknown { .. } => "unknown",
            Self::Void => "void",
        }
    }

    /// The last possible send of an attempt that may still take effect.
    pub fn unresolved(self) -> Option<Timestamp> {
        match self {
            Self::Sent { claimed_until, .. } | Self::Unknown { claimed_until } => Some(claimed_until),
            Self::Ready | Self::Taken | Self::NotTaken | Self::Void => None,
        }
    }
}

/// One write at the provider under a lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Counts within the lease, from 1.
    pub number: u32,
    /// What it is to do.
    pub kind: Kind,
    /// What is known of it.
    pub state: AttemptState,
    /// Not to be sent before.
    pub not_before: Timestamp,
    /// Not to be sent at or after; returns have no such moment.
    pub not_after: Option<Timestamp>,
}

impl Attempt {
    /// Whether the attempt may be marked `sent` now under a claim that lasts until `claimed_until`.
    /// The store's `UPDATE … ready → sent` says the same in SQL, and a test compares both.
    pub fn may_be_sent(&self, lease: &Lease, claimed_until: Timestamp, now: Timestamp) -> bool {
        let claimed = self.state == AttemptState::Ready && claimed_until > now;
        match self.kind {
            Kind::Lend => {
                claimed && lease.lends_at(now) && self.not_after.is_some_and(|last| now < last && claimed_until <= last)
            }
            Kind::Return => claimed && lease.state == State::Closing,
        }
    }

    /// Whether it can still decide anything: it is ready or sent, or a lend of unknown outcome.
    pub fn is_live(&self) -> bool {
        match (self.kind, self.state) {
            (_, AttemptState::Ready | AttemptState::Sent { .. }) | (Kind::Lend, AttemptState::Unknown { .. }) => true,
            (Kind::Return, AttemptState::Unknown { .. })
            | (_, AttemptState::Taken | AttemptState::NotTaken | AttemptState::Void) => false,
        }
    }

    /// The last possible send of a lend that may still take effect.
    pub(super) fn unresolved_lend(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Lend => self.state.unresolved(),
            Kind::Return => None,
        }
    }
}

/// From when on a read can show that no lend of this lease takes effect any more; `None` if every lend is resolved.
pub fn settled_from(attempts: &[Attempt], terms: &Terms) -> Option<Timestamp> {
    attempts.iter().filter_map(Attempt::unresolved_lend).max().map(|last| terms.settled_after(last))
}
