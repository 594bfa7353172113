//! The authentication policies of the organisation. The provider never tells what they demand.

use serde::{Deserialize, Serialize};

use crate::well_known::policy;

/// What a policy demands at sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// A second factor.
    Mandatory,
    /// None, but a factor that is enrolled is asked for.
    Optional,
    /// Single sign-on: the sign-in happens elsewhere.
    Delegated,
}

/// One authentication policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The provider's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it demands.
    pub demand: Demand,
    /// Whether it was deleted: no account can be added to it any more.
    pub deleted: bool,
}

/// The policies of every simulated organisation; the first is the default one.
pub(crate) fn well_known() -> Vec<PolicyRecord> {
    [
        (policy::EVERYONE, "Everyone", Demand::Mandatory),
        (policy::ENGINEERING, "Engineering", Demand::Mandatory),
        (policy::RECOVERY, "Recovery", Demand::Optional),
        (policy::SINGLE_SIGN_ON, "Single sign-on", Demand::Delegated),
        (policy::UNMAPPED, "Trial of 2023", Demand::Mandatory),
        (policy::GUESTS, "Guests", Demand::Optional),
    ]
    .map(|(id, name, demand)| PolicyRecord { id: id.into(), name: name.into(), demand, deleted: false })
    .into()
}
