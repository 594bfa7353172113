//! The lease as policy last told of it.

use homeward_types::{Factor, LeaseEnd, Refusal, Timestamp};
use serde::{Deserialize, Serialize};

/// What policy said about the lease. The whole lease as of `version`; a higher version replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseFact {
    /// The lease's version; grows with each change.
    pub version: i64,
    /// Where it is.
    pub state: LeaseState,
    /// Why it was never opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The factor that policy read just before the lend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Factor>,
    /// First read that showed the account out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_at: Option<Timestamp>,
    /// The provider's version of that placement, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_version: Option<i64>,
    /// When policy ends it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The read that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
    /// What proves the end, in words; empty before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// Where a lease is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Committed; the account may be moved at any moment.
    Opening,
    /// Seen out.
    Active,
    /// Being returned.
    Closing,
    /// Home, and waiting until no late effect can come.
    Settling,
    /// Over.
    Closed(LeaseEnd),
}
