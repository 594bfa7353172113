//! How much proof and how many approvers a recovery needs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How careful we are with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// One proof, one approver.
    Normal,
    /// Administrator, long unseen, mail changed lately, repudiated before, or many recent requests.
    High,
}

/// Evidence that the person asking is the account's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofKind {
    /// The help desk called back on the number on file.
    CallBack,
    /// The manager vouched.
    ManagerVouch,
    /// A code sent to a second address was read back.
    SecondAddress,
    /// A vendor's signed result.
    Vendor,
}

/// What one tier asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRule {
    /// Proofs of different kinds needed.
    pub proofs: usize,
    /// Approvers needed.
    pub approvers: usize,
    /// The kinds that count; all when empty.
    #[serde(default)]
    pub kinds: BTreeSet<ProofKind>,
}

/// The rules of both tiers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tiers {
    /// For most accounts.
    pub normal: TierRule,
    /// For accounts that need more care.
    pub high: TierRule,
}

impl Default for Tiers {
    fn default() -> Self {
        Self {
            normal: TierRule { proofs: 1, approvers: 1, kinds: BTreeSet::new() },
            high: TierRule { proofs: 2, approvers: 2, kinds: BTreeSet::new() },
        }
    }
}

impl Tiers {
    /// What `tier` asks for.
    pub fn rule(&self, tier: Tier) -> &TierRule {
        match tier {
            Tier::Normal => &self.normal,
            Tier::High => &self.high,
        }
    }
}
