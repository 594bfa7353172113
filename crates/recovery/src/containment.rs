//! Disabling an account whose owner said "this was not me". Asked of policy until it is done, also after the case has ended.

pub mod store;

use homeward_types::{AccountId, OrganisationId, RecoveryId};

/// An account that is to be disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containment {
    /// The case that was repudiated; also the lease.
    pub recovery: RecoveryId,
    /// Where.
    pub organisation: OrganisationId,
    /// Which account.
    pub account: AccountId,
}
