//! One moment of everything.

use homeward_policy::lease::Kind;

use super::case_book::{CaseRow, Planned};
use super::fault::Faults;
use super::few::Few;
use super::law::Law;
use super::lease_book::{Row, Stage};
use super::place::{Account, Effect};
use super::scale::Ticks;

/// Most accounts.
pub const ACCOUNTS: usize = 2;
/// Most leases.
pub const LEASES: usize = 5;
/// Most cases.
pub const CASES: usize = 3;

/// Everything that survives, and everything that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The provider.
    pub accounts: [Account; ACCOUNTS],
    /// Policy's rows.
    pub leases: [Lease; LEASES],
    /// Recovery's rows, and messages between the two.
    pub cases: [Case; CASES],
    /// Policy's workers that wait for an answer.
    pub workers: Few<Busy, 2>,
    /// Reads under way.
    pub looks: Few<Look, 3>,
    /// Decisions of coordinators that are not written yet.
    pub held: Few<Held, 1>,
    /// What versions have proved.
    pub trust: (bool, bool),
    /// Kinds of trouble so far, where a run is limited to some.
    pub faults: Faults,
    /// Crashes so far, where they are limited.
    pub crashes: u8,
    /// A person has moved an account.
    pub handed: bool,
    /// The two accounts have swapped their addresses.
    pub swapped: bool,
    /// Faults have ended: every message is delivered once.
    pub calm: bool,
    /// A law that the last step broke.
    pub broken: Option<Law>,
}

impl State {
    /// A lend of this lease is under way, whomever it will move, and takes effect within the limit.
    pub fn lend_in_time(&self, lease: usize) -> bool {
        self.lends(lease).any(|lend| lend.until.is_some())
    }

    /// The lends of this lease under way.
    pub fn lends(&self, lease: usize) -> impl Iterator<Item = &Effect> {
        self.accounts.iter().flat_map(|account| &account.lends).filter(move |lend| usize::from(lend.lease) == lease)
    }
}

/// One lease at policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lease {
    /// Its row.
    pub row: Row,
    /// Its version, as a rank among those that somebody may still compare with it.
    pub version: u8,
    /// The broker has confirmed `lease.opened`, and its line is synced to the file.
    pub confirmed: bool,
    /// Its lend named the address that its account had before it was swapped, and nobody else was found out there.
    pub named: bool,
}

/// One case at recovery, and what is under way about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Case {
    /// It has begun.
    pub begun: bool,
    /// Its row; 0 while it has not begun, or where anyone asks.
    pub row: CaseRow,
    /// The highest version that it knows of its lease, as a rank; 0: none.
    pub known: u8,
    /// The last moment at which the lend may be sent.
    pub not_after: Ticks,
    /// A command to lend is under way.
    pub lend: bool,
    /// A command to return is under way.
    pub bring_home: bool,
    /// News of the lease under way, by version.
    pub news: Few<News, 8>,
}

/// News of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct News {
    /// The lease's version, as a rank.
    pub version: u8,
    /// Where it stood.
    pub stage: Stage,
}

impl Default for News {
    fn default() -> Self {
        Self { version: 0, stage: Stage::Opening }
    }
}

/// A worker that has marked attempts, and waits for the provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Busy {
    /// The leases.
    pub leases: Leases,
    /// What it does.
    pub kind: Kind,
}

impl Default for Busy {
    fn default() -> Self {
        Self { leases: Leases::default(), kind: Kind::Lend }
    }
}

/// Several leases, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Leases(u8);

impl Leases {
    /// This one.
    pub fn one(lease: usize) -> Self {
        Self(1 << lease)
    }

    /// These and this one.
    #[must_use]
    pub fn with(self, lease: usize) -> Self {
        Self(self.0 | 1 << lease)
    }

    /// These without this one.
    #[must_use]
    pub fn without(self, lease: usize) -> Self {
        Self(self.0 & !(1 << lease))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there are several.
    pub fn is_batch(self) -> bool {
        self.0.count_ones() > 1
    }

    /// Their numbers.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..LEASES).filter(move |lease| self.0 & (1 << lease) != 0)
    }
}

/// A read under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Look {
    /// What for.
    pub why: Why,
    /// Whose account.
    pub account: u8,
    /// When it began.
    pub begun: Ticks,
}

/// What a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Why {
    /// Policy reads back an open lease.
    #[default]
    Patrol,
    /// The census.
    Census,
    /// What precedes a lend.
    Lend {
        /// The case that asks.
        case: u8,
        /// Another lease was open when it began.
        busy: bool,
    },
}

/// A decision that a coordinator has made on the row that it read, and not written yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Held {
    /// The case.
    pub case: u8,
    /// What it is about.
    pub what: What,
    /// The row as it was read, and the version that it knew.
    pub from: (CaseRow, u8),
    /// What is to be written.
    pub planned: Planned,
}

/// What a coordinator decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum What {
    /// What is due.
    #[default]
    Tick,
    /// A person cancels.
    Cancelled,
    /// The user set up a new factor.
    Enrolled,
    /// News of the lease.
    News(News),
}

impl What {
    /// The news, if it is some.
    pub fn news(self) -> Option<News> {
        match self {
            Self::News(news) => Some(news),
            Self::Tick | Self::Cancelled | Self::Enrolled => None,
        }
    }
}
