//! What a recovery must show and how long things may take, fixed when it begins.

use std::collections::BTreeSet;
use std::time::Duration;

use homeward_types::{Organisation, ProofKind, Tier};
use serde::{Deserialize, Serialize};

/// What a recovery must show and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// How careful to be.
    pub tier: Tier,
    /// Proofs of different kinds needed.
    pub proofs: usize,
    /// Approvers needed.
    pub approvers: usize,
    /// The kinds of proof that count; all when empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<ProofKind>,
    /// How long a request waits for its proof, and then for its approvals.
    pub approval: Millis,
    /// How long a proof counts.
    pub proof_valid: Millis,
    /// How long an approved recovery waits for a slot.
    pub slot_wait: Millis,
    /// How long after the grant the lend may still be sent.
    pub grant_valid: Millis,
    /// How long the account may be out.
    pub lease: Millis,
    /// First wait before an unanswered command is asked again.
    pub re_ask: Millis,
    /// Longest such wait.
    pub re_ask_max: Millis,
}

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Millis {
    fn from(length: Duration) -> Self {
        Self(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Terms {
    /// What `organisation` asks for an account of `tier` today.
    pub fn of(organisation: &Organisation, tier: Tier) -> Self {
        let (rule, limits) = (organisation.tiers.rule(tier), &organisation.limits);
        Self {
            tier,
            proofs: rule.proofs,
            approvers: rule.approvers,
            kinds: rule.kinds.clone(),
            approval: limits.approval.into(),
            proof_valid: limits.proof_valid.into(),
            slot_wait: limits.slot_wait.into(),
            grant_valid: limits.grant_valid.into(),
            lease: limits.lease.into(),
            re_ask: limits.re_ask.into(),
            re_ask_max: limits.re_ask_max.into(),
        }
    }

    /// Whether proof of this kind counts here.
    pub fn takes(&self, kind: ProofKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}
