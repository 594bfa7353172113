//! What can happen to a lease.

use std::time::Duration;

use homeward_types::{AccountId, Factor, LeaseId, OrganisationId, PlacementVersion, PolicyId, Refusal, Timestamp, VersionTrust};

use super::{Origin, Reading, Terms};

/// Something that happened, or that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A lend was asked for, its grant holds, and what one fresh read showed allows it.
    LendAccepted(Opened),
    /// A lend was asked for, and is refused.
    LendRefused(Refused),
    /// An attempt is marked `sent`, before the write. Counts only if the attempt may be sent.
    AttemptSent(Sending),
    /// The provider answered an attempt, or did not.
    AttemptAnswered {
        /// Which attempt.
        number: u32,
        /// What was answered.
        answer: Answer,
    },
    /// The account was read.
    Read {
        /// What was read.
        reading: Reading,
        /// How far the organisation's versions are trusted.
        trust: VersionTrust,
    },
    /// A return was asked for: by recovery, by a person, or by policy itself.
    ReturnAsked(Asked),
    /// The lease is due.
    Due,
    /// A call did not find the account, or found it no longer managed.
    Missed {
        /// Which of the two calls.
        look: LookKind,
        /// When it began.
        begun_at: Timestamp,
    },
    /// A second person released the account, with a reason.
    Released,
    /// The home policy is gone or no longer mandatory.
    HomeLost {
        /// Where the account goes instead.
        default_home: PolicyId,
    },
    /// The account was found out without an open lease.
    FoundOut(Found),
    /// The provider answers again: returns that wait for their next try need not.
    Woken,
    /// The account was disabled, or enabled again, at the provider.
    Contained(bool),
    /// Time has passed.
    Tick,
}

/// Which of the two different calls looked for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LookKind {
    /// The search for its id.
    Search,
    /// The call for the account itself.
    Itself,
}

impl From<LookKind> for homeward_provider::Look {
    fn from(kind: LookKind) -> Self {
        match kind {
            LookKind::Search => Self::Search,
            LookKind::Itself => Self::Itself,
        }
    }
}

/// Whom a lease is about, and the settings that a new row takes over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The lease's id.
    pub lease: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose account.
    pub account: AccountId,
    /// Where the account must return to; for an id that is never lent the organisation's default home.
    pub home: PolicyId,
    /// The organisation's recovery policy.
    pub recovery_policy: PolicyId,
    /// The organisation's limits.
    pub terms: Terms,
}

/// A lend that policy accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// Whom it is about; the home as the fresh read showed it.
    pub subject: Subject,
    /// The placement's version in that read.
    pub home_version: Option<PlacementVersion>,
    /// The newest version that earlier leases of the account know. That read may lag behind them.
    pub seen_before: Option<PlacementVersion>,
    /// The factor in that read.
    pub factor: Factor,
    /// The longest that the lease may last, from its opening.
    pub lasts: Duration,
    /// The last moment at which the lend may be sent.
    pub not_after: Timestamp,
}

/// A lend that policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refused {
    /// Whom it is about.
    pub subject: Subject,
    /// Why.
    pub refusal: Refusal,
}

/// A return that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// Whom it is about: an id that is not known yet leaves a tombstone.
    pub subject: Subject,
    /// Why, in words.
    pub reason: String,
}

/// An account that was found out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// Whom it is about, under a new lease id; home is its last known protecting placement.
    pub subject: Subject,
    /// How it was found.
    pub origin: Origin,
    /// The policy that it was found in.
    pub policy: PolicyId,
    /// The placement's version.
    pub version: Option<PlacementVersion>,
    /// When the read that found it began.
    pub begun_at: Timestamp,
    /// Why it is returned, in words.
    pub reason: String,
}

/// An attempt that a worker is about to write to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sending {
    /// Which attempt.
    pub number: u32,
    /// Until when the worker holds it: its last possible send.
    pub claimed_until: Timestamp,
}

/// What the provider's answer to an attempt proves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// It accepted it, or says that it is done. Proves nothing about the placement.
    Accepted,
    /// It had no effect and will have none; another try may help.
    Refused {
        /// Not before this has passed.
        retry_after: Duration,
        /// What was said, for people.
        detail: String,
    },
    /// It had no effect, and asking again in the same way will not help.
    Impossible {
        /// What was said, for people.
        detail: String,
    },
    /// It may have happened, or may still happen.
    Unknown {
        /// What was said, for people.
        detail: String,
    },
}
