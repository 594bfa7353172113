//! What the actors say to policy's rows, and hear of them.

use std::fmt;

use homeward_policy::lease::{Kind, VersionShown};
use homeward_types::Refusal;

use super::place::{Place, Shown};
use super::scale::Ticks;

/// The number of a row; 0 stands for none.
pub type Row = u32;

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Seen home.
    Home,
    /// Seen in another protecting policy.
    Elsewhere,
    /// Gone.
    Gone,
    /// Released by two persons.
    Released,
    /// Never opened.
    NeverLent,
}

/// Where a lease stands, as policy tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Committed.
    Opening,
    /// Seen out.
    Active,
    /// Being returned.
    Closing,
    /// A late effect is waited out.
    Settling,
    /// Over.
    Closed(End),
    /// Refused, and never opened.
    Refused(Refusal),
}

impl Stage {
    /// Grows along the way; closing and settling may alternate.
    pub fn rank(self) -> u8 {
        match self {
            Self::Opening => 0,
            Self::Active => 1,
            Self::Closing | Self::Settling => 2,
            Self::Closed(_) | Self::Refused(_) => 3,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Settling => "settling",
            Self::Closed(_) => "closed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether it has not ended.
    pub fn is_open(self) -> bool {
        self.rank() < 3
    }
}

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A lend is accepted; the home is where the account was seen.
    LendAccepted {
        /// What was seen.
        seen: Shown,
        /// The newest version that the account's earlier leases know.
        seen_before: i8,
        /// The last moment to send it.
        not_after: Ticks,
    },
    /// A lend is refused.
    LendRefused(Refusal),
    /// An attempt is marked `sent`.
    Sent(Kind),
    /// The provider answered.
    Answered(Kind, Reply),
    /// The account was read.
    Read {
        /// What was seen.
        seen: Shown,
        /// When the read began.
        begun: Ticks,
        /// Whether versions are trusted: lend, return.
        trust: (bool, bool),
    },
    /// A return is asked for.
    ReturnAsked,
    /// Two persons release the account.
    Released,
    /// The census found it out without an open lease.
    FoundOut {
        /// What was seen.
        seen: Shown,
        /// When the read began.
        begun: Ticks,
        /// Where it goes.
        home: Place,
    },
    /// Whatever is due by now.
    Tick,
}

/// What the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// Accepted, which proves nothing.
    Accepted,
    /// Not taken; another try may help.
    Refused,
    /// Not taken, and no other try helps.
    Impossible,
    /// Nothing that proves anything.
    Unknown,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Refused => "not taken, try again",
            Self::Impossible => "not taken, and no other try helps",
            Self::Unknown => "nothing that proves anything",
        })
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent things that a step can lead to")]
pub struct Outcome {
    /// The row as it now stands.
    pub row: Row,
    /// Whether its version grew.
    pub changed: bool,
    /// What is told.
    pub told: Option<Stage>,
    /// The lend that could decide something does not any more: its worker's answer means nothing.
    pub lend_over: bool,
    /// The same of the return.
    pub return_over: bool,
    /// The newest version that the lease knows.
    pub knows: i8,
    /// What was proved about versions.
    pub shown: Option<VersionShown>,
    /// The account must be leased again.
    pub out_again: bool,
}

/// What the actors need to know of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Where the lease stands; `None` if there is no row.
    pub stage: Option<Stage>,
    /// Where it returns to.
    pub home: Place,
    /// Until when a worker that marks the lend now may send it; `None` if it may not be marked.
    pub may_lend: Option<Ticks>,
    /// The same of the return.
    pub may_return: Option<Ticks>,
    /// A lend is ready, whether it may be sent or not.
    pub lend_ready: bool,
    /// A lend that was sent can still be taken, as far as is known.
    pub lend_may_land: bool,
    /// When it is due.
    pub due: Ticks,
    /// When the account is to be read.
    pub read_at: Option<Ticks>,
    /// When time itself changes something.
    pub tick_at: Option<Ticks>,
}

impl Facts {
    /// Whether there is an open lease.
    pub fn is_open(&self) -> bool {
        self.stage.is_some_and(Stage::is_open)
    }
}
