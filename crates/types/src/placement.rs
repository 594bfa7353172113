//! Where an account is, and whether it has a second factor: facts as one read saw them.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::name::{AccountId, Email, PolicyId};

/// The account's second factor as one read saw it. Not knowing is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A factor is set up.
    Enrolled,
    /// None is set up.
    Absent,
    /// The provider would not say.
    Unknown,
}

/// The provider's version of a placement (Atlassian: `dateAdded`, epoch milliseconds). Later is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlacementVersion(pub i64);

/// Which policy an account is in, as one read saw it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// Whose placement.
    pub account: AccountId,
    /// The address that the provider gave in the same read; moves are keyed by it.
    pub email: Option<Email>,
    /// The policy the account is in; `None` when the provider knows of none.
    pub policy: Option<PolicyId>,
    /// The provider's version of that fact, where it has one.
    pub version: Option<PlacementVersion>,
    /// When we began the read (our clock).
    pub begun_at: Timestamp,
}
