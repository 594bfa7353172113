//! What policy knows of each organisation: drain, trust in versions, the hard cap's counter, whether its provider answers.

pub mod store;

use homeward_types::{Timestamp, VersionTrust};

/// An organisation's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganisationState {
    /// No new lends; returns go on.
    pub draining: bool,
    /// How far placement versions are trusted.
    pub trust: VersionTrust,
    /// Open leases.
    pub open_leases: i64,
    /// Accounts there are; `None` until they were counted.
    pub accounts: Option<u64>,
    /// When they were counted.
    pub counted_at: Option<Timestamp>,
    /// Since when the provider has not answered.
    pub unreachable_since: Option<Timestamp>,
}

/// What the first lend and return showed of the provider; what is `None` was not seen yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Whether a move's task can be read: `works…` or `refused: …`.
    pub task_read: Option<String>,
    /// Whether the placement's version grew with the first lend: `grew`, `same` or `missing`.
    pub lend_version: Option<String>,
    /// The same of the first return.
    pub return_version: Option<String>,
}

impl Judged {
    /// Whether there is nothing left to judge.
    pub fn is_complete(&self) -> bool {
        self.task_read.is_some() && self.lend_version.is_some() && self.return_version.is_some()
    }

    /// What is new beside `known`.
    #[must_use]
    pub fn without(self, known: &Self) -> Self {
        Self {
            task_read: self.task_read.filter(|_| known.task_read.is_none()),
            lend_version: self.lend_version.filter(|_| known.lend_version.is_none()),
            return_version: self.return_version.filter(|_| known.return_version.is_none()),
        }
    }
}
