//! Recovery's permission for policy to open one lease. Signed with Ed25519; used once.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::LeaseId;
use crate::name::{AccountId, Email, OrganisationId, PersonId, PolicyId};
use crate::placement::Factor;
use crate::tier::Tier;

/// What recovery permits. Policy checks each field again against what it sees itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The lease that may be opened; the same id as the recovery.
    pub lease: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whom.
    pub account: AccountId,
    /// The address that the account held at the diagnosis; another holder now means `changed`.
    pub email: Email,
    /// The home policy that the diagnosis saw.
    pub home: PolicyId,
    /// The tier that proof and approvals were given for.
    pub tier: Tier,
    /// The factor at the diagnosis, for the record; whether to reset is decided from the read at the lend.
    pub factor: Factor,
    /// Recent requests for this account, which policy cannot know by itself.
    pub recent_requests: u32,
    /// Whether an earlier recovery of this account was repudiated.
    pub repudiated_before: bool,
    /// Who asked.
    pub requester: PersonId,
    /// Who approved; at least as many as the tier asks for, none of them the requester.
    pub approvers: Vec<PersonId>,
    /// SHA-256 over the diagnosis that the approvers saw, in hexadecimal.
    pub diagnosis_hash: String,
    /// The last moment at which the lend may be sent to the provider.
    pub not_after: Timestamp,
    /// The longest that the lease may last, in microseconds from its opening.
    pub lease_micros: i64,
}
