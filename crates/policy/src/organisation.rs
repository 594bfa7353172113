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
