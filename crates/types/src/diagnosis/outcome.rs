//! The rows of the diagnosis table.

use serde::{Deserialize, Serialize};

use super::{AccountStatus, KnownAccount};
use crate::clock::Timestamp;
use crate::id::{LeaseId, RecoveryId};
use crate::name::{AccountId, Email, PolicyId};
use crate::placement::Factor;

/// An account that may have been meant, and how it differs from the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The provider's id: how to name exactly this one.
    pub account: AccountId,
    /// Its address.
    pub email: Email,
    /// Its name.
    pub name: String,
    /// Whether it is in use.
    pub status: AccountStatus,
    /// When it was last active.
    pub last_active: Option<Timestamp>,
    /// The policy it is in, where known.
    pub policy: Option<PolicyId>,
}

impl Candidate {
    /// The candidate that a known account makes; its policy is not part of what directory knows.
    pub fn of(account: &KnownAccount) -> Self {
        Self {
            account: account.account.clone(),
            email: account.email.clone(),
            name: account.name.clone(),
            status: account.status,
            last_active: account.last_active,
            policy: None,
        }
    }
}

/// Why the organisation has no power over an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotManagedReason {
    /// Verify the domain first.
    DomainNotVerified,
    /// Claim the account.
    NotClaimed,
}

/// What was found. Each has a stable code, a sentence and a next step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Outcome {
    /// Nobody matches.
    NoSuchAccount {
        /// Close misses.
        closest: Vec<Candidate>,
    },
    /// Several match: the wrong-profile trap.
    SeveralMatch {
        /// All that match.
        candidates: Vec<Candidate>,
    },
    /// The organisation has no power over it.
    NotManaged {
        /// The domain at fault.
        domain: String,
        /// What is missing.
        reason: NotManagedReason,
    },
    /// Not in use.
    NotActive {
        /// What it is instead.
        status: AccountStatus,
    },
    /// Single sign-on or synced.
    FactorElsewhere {
        /// Where the factor lives.
        lives_in: String,
    },
    /// In a policy that the configuration does not name.
    PolicyUnmapped {
        /// Which.
        policy: PolicyId,
    },
    /// In a mandatory policy that accounts are not lent from.
    PolicyNotHome {
        /// Which.
        policy: PolicyId,
        /// Its name.
        policy_name: String,
    },
    /// In the recovery policy without a lease.
    Stray,
    /// In another policy that does not insist on a factor.
    AlreadyOptional {
        /// That policy's name.
        policy_name: String,
        /// Whether there is a factor to reset.
        factor: Factor,
    },
    /// The story's login loop: mandatory, and nothing to reset.
    LoginLoop {
        /// Where it must return.
        home: PolicyId,
        /// Its name.
        home_name: String,
    },
    /// Mandatory with a factor.
    LendAndReset {
        /// Where it must return.
        home: PolicyId,
        /// Its name.
        home_name: String,
    },
    /// Mandatory, factor unknown.
    LendAndConfirmReset {
        /// Where it must return.
        home: PolicyId,
        /// Its name.
        home_name: String,
    },
    /// A recovery is open.
    RecoveryOpen {
        /// Which.
        recovery: RecoveryId,
    },
    /// A lease is open.
    LeaseOpen {
        /// Which.
        lease: LeaseId,
        /// When it can be free.
        free_at: Timestamp,
    },
    /// Two persons released it for ever.
    Released,
    /// The provider does not answer.
    Unreachable {
        /// Since when.
        since: Timestamp,
    },
    /// What we know is too old.
    TooOld {
        /// From when it is.
        since: Timestamp,
    },
}

impl Outcome {
    /// The stable code, as printed and sent.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchAccount { .. } => "no_such_account",
            Self::SeveralMatch { .. } => "several_match",
            Self::NotManaged { .. } => "not_managed",
            Self::NotActive { .. } => "not_active",
            Self::FactorElsewhere { .. } => "factor_elsewhere",
            Self::PolicyUnmapped { .. } => "policy_unmapped",
            Self::PolicyNotHome { .. } => "policy_not_home",
            Self::Stray => "stray",
            Self::AlreadyOptional { .. } => "already_optional",
            Self::LoginLoop { .. } => "login_loop",
            Self::LendAndReset { .. } => "lend_and_reset",
            Self::LendAndConfirmReset { .. } => "lend_and_confirm_reset",
            Self::RecoveryOpen { .. } => "recovery_open",
            Self::LeaseOpen { .. } => "lease_open",
            Self::Released => "released",
            Self::Unreachable { .. } => "unreachable",
            Self::TooOld { .. } => "too_old",
        }
    }

    /// The home policy, when lending would help.
    pub fn lends_from(&self) -> Option<&PolicyId> {
        match self {
            Self::LoginLoop { home, .. } | Self::LendAndReset { home, .. } | Self::LendAndConfirmReset { home, .. } => Some(home),
            Self::NoSuchAccount { .. }
            | Self::SeveralMatch { .. }
            | Self::NotManaged { .. }
            | Self::NotActive { .. }
            | Self::FactorElsewhere { .. }
            | Self::PolicyUnmapped { .. }
            | Self::PolicyNotHome { .. }
            | Self::Stray
            | Self::AlreadyOptional { .. }
            | Self::RecoveryOpen { .. }
            | Self::LeaseOpen { .. }
            | Self::Released
            | Self::Unreachable { .. }
            | Self::TooOld { .. } => None,
        }
    }
    /// The accounts to choose from, or the close misses.
    pub fn candidates(&self) -> &[Candidate] {
        if let Self::NoSuchAccount { closest: candidates } | Self::SeveralMatch { candidates } = self { candidates } else { &[] }
    }

    /// The open recovery or lease that stands in the way, as text.
    pub fn linked_id(&self) -> Option<String> {
        if let Self::RecoveryOpen { recovery } = self {
            return Some(recovery.to_string());
        }
        if let Self::LeaseOpen { lease, .. } = self { Some(lease.to_string()) } else { None }
    }
}
