//! An organisation's own settings: its policies, which protect, which one lends.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::name::{OrganisationId, PolicyId};
use crate::tier::Tiers;

/// What a policy says about two-step verification. The provider cannot tell, so the administrator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TwoStep {
    /// Everyone in the policy must have a second factor.
    Mandatory,
    /// Members may do without.
    Optional,
    /// Single sign-on: the factor lives elsewhere.
    Delegated,
}

/// One authentication policy as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// Its two-step setting.
    pub two_step: TwoStep,
    /// Where a delegated factor lives, for the help desk's sentence (for example `Okta`).
    #[serde(default)]
    pub factor_lives_in: Option<String>,
}

/// A tenant at the identity provider with the settings that every role shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organisation {
    /// Our short name for it.
    pub id: OrganisationId,
    /// All policies that we know of, by the provider's id.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// The one optional policy that accounts are lent to.
    pub recovery_policy: PolicyId,
    /// The mandatory policies that an account may be lent from.
    pub home_policies: BTreeSet<PolicyId>,
    /// Where an account goes when its home is gone.
    pub default_home: PolicyId,
    /// Proof and approvals by tier.
    pub tiers: Tiers,
    /// Times, caps and lags.
    pub limits: Limits,
}

/// Why an organisation's settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrganisationError {
    /// A policy is named that the map does not hold.
    #[error("{setting} names the policy {policy}, which `policies` does not hold; add it with its name and two_step setting")]
    Unmapped {
        /// The setting at fault.
        setting: &'static str,
        /// What it names.
        policy: PolicyId,
    },
    /// The recovery policy must let members do without a factor.
    #[error("recovery_policy {0} must have two_step = \"optional\"; otherwise a lend would help nobody")]
    RecoveryNotOptional(PolicyId),
    /// A home must be mandatory, or coming home would protect nobody.
    #[error("{setting} names {policy}, which is not two_step = \"mandatory\"; an account returned there would not be protected")]
    HomeNotMandatory {
        /// The setting at fault.
        setting: &'static str,
        /// What it names.
        policy: PolicyId,
    },
    /// Nothing to lend from.
    #[error("home_policies is empty; name at least one mandatory policy")]
    NoHome,
    /// The default home must be one of the homes.
    #[error("default_home {0} is not among home_policies")]
    DefaultNotHome(PolicyId),
    /// A limit that cannot work.
    #[error("limits: {0}")]
    Limit(String),
}

impl Organisation {
    /// Whether an account in `policy` is safe: mandatory or delegated, and never the recovery policy.
    pub fn protects(&self, policy: &PolicyId) -> bool {
        *policy != self.recovery_policy
            && self.policies.get(policy).is_some_and(|p| matches!(p.two_step, TwoStep::Mandatory | TwoStep::Delegated))
    }

    /// Whether accounts may be lent from, and returned to, `policy`.
    pub fn is_home(&self, policy: &PolicyId) -> bool {
        *policy != self.recovery_policy && self.home_policies.contains(policy)
    }

    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// The first [`OrganisationError`] found.
    pub fn check(&self) -> Result<(), OrganisationError> {
        let two_step = |setting, policy: &PolicyId| {
            self.policies
                .get(policy)
                .map(|p| p.two_step)
                .ok_or_else(|| OrganisationError::Unmapped { setting, policy: policy.clone() })
        };
        if two_step("recovery_policy", &self.recovery_policy)? != TwoStep::Optional {
            return Err(OrganisationError::RecoveryNotOptional(self.recovery_policy.clone()));
        }
        if self.home_policies.is_empty() {
            return Err(OrganisationError::NoHome);
        }
        for home in &self.home_policies {
            if two_step("home_policies", home)? != TwoStep::Mandatory {
                return Err(OrganisationError::HomeNotMandatory { setting: "home_policies", policy: home.clone() });
            }
        }
        if !self.home_policies.contains(&self.default_home) {
            return Err(OrganisationError::DefaultNotHome(self.default_home.clone()));
        }
        self.limits.check().map_err(OrganisationError::Limit)
    }
}
