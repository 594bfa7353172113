//! Why can't I reset this, and what would help? A pure function of facts.
//!
//! Recovery asks it at intake; policy asks it again on its own facts immediately before a lease opens.

mod outcome;
mod sentence;

pub use outcome::{Candidate, NotManagedReason, Outcome};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{LeaseId, RecoveryId};
use crate::limits::after;
use crate::name::{AccountId, Email};
use crate::organisation::{Organisation, TwoStep};
use crate::placement::{Factor, Placement};
use crate::tier::Tier;

/// Whether the account can be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// In use.
    Active,
    /// Blocked for now.
    Suspended,
    /// Switched off by an administrator.
    Deactivated,
    /// Deleted, or about to be.
    Deleted,
}

/// Whether the organisation has power over the account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The organisation owns the domain and has claimed the account.
    Managed,
    /// The domain is not verified.
    DomainNotVerified,
    /// The domain is verified, the account is not claimed.
    NotClaimed,
}

/// One account as directory (or policy's fresh read) knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KnownAccount {
    /// The provider's id.
    pub account: AccountId,
    /// The present address.
    pub email: Email,
    /// The person's name there.
    pub name: String,
    /// Whether the organisation may manage it.
    pub claim: Claim,
    /// Whether it is in use.
    pub status: AccountStatus,
    /// The identity provider that the account is synced from, if any.
    pub synced_from: Option<String>,
    /// Whether it administers anything.
    pub administrator: bool,
    /// When it was last active, as far as the provider says.
    pub last_active: Option<Timestamp>,
    /// When its address last changed, as far as we saw.
    pub mail_changed_at: Option<Timestamp>,
    /// When we learned all this.
    pub learned_at: Timestamp,
}

/// An open lease of the account, other than the one that asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpenLease {
    /// Which.
    pub lease: LeaseId,
    /// When it is expected to be over.
    pub free_at: Timestamp,
}

/// What we know at the time of asking.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    /// What the caller typed.
    pub query: String,
    /// Accounts that match it.
    pub matches: Vec<KnownAccount>,
    /// Close misses, when nothing matches.
    pub closest: Vec<Candidate>,
    /// The fresh placement; `None` when it could not be read.
    pub placement: Option<Placement>,
    /// The fresh factor.
    pub factor: Factor,
    /// Since when the provider has not answered, if it does not.
    pub unreachable_since: Option<Timestamp>,
    /// An open recovery of the account, other than the one that asks.
    pub open_recovery: Option<RecoveryId>,
    /// An open lease of the account, other than the one that asks.
    pub open_lease: Option<OpenLease>,
    /// Two persons once released the account into the recovery policy.
    pub released: bool,
    /// Requests for this account lately.
    pub recent_requests: u32,
    /// An earlier recovery of the account was repudiated.
    pub repudiated_before: bool,
    /// The oldest that knowledge may be. At the lend: zero tolerance is expressed by fresh `learned_at`.
    pub too_old: Duration,
    /// The present moment.
    pub now: Timestamp,
}

/// Why an account gets the high tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierReason {
    /// It administers something.
    Administrator,
    /// It was not seen for longer than allowed.
    Unseen,
    /// Its address changed lately.
    MailChanged,
    /// An earlier recovery was repudiated.
    RepudiatedBefore,
    /// Many requests lately.
    ManyRequests,
}

/// The answer: what was found, how careful to be, and the sentences for the help desk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The account, when exactly one matched.
    pub account: Option<KnownAccount>,
    /// Where the account is, when it was read.
    pub placement: Option<Placement>,
    /// The factor that was read.
    pub factor: Factor,
    /// What was found.
    pub outcome: Outcome,
    /// How careful to be.
    pub tier: Tier,
    /// Why the tier is high; empty for normal.
    pub tier_reasons: Vec<TierReason>,
}

impl Diagnosis {
    /// What was found, in a sentence that a help-desk person understands.
    pub fn sentence(&self) -> String {
        sentence::of(&self.outcome)
    }

    /// What to do next, in a sentence.
    pub fn next(&self) -> String {
        sentence::next(&self.outcome)
    }
}

/// Decides what would help. Pure: same facts, same answer.
pub fn diagnose(organisation: &Organisation, facts: &Facts) -> Diagnosis {
    let account = match facts.matches.as_slice() {
        [one] => Some(one.clone()),
        [] | [_, ..] => None,
    };
    let tier_reasons = account.as_ref().map(|account| tier_reasons(organisation, facts, account)).unwrap_or_default();
    Diagnosis {
        outcome: outcome(organisation, facts),
        placement: facts.placement.clone(),
        factor: facts.factor,
        tier: if tier_reasons.is_empty() { Tier::Normal } else { Tier::High },
        tier_reasons,
        account,
    }
}

fn outcome(organisation: &Organisation, facts: &Facts) -> Outcome {
    let account = match facts.matches.as_slice() {
        [one] => one,
        [] => {
            return match facts.unreachable_since {
                Some(since) => Outcome::Unreachable { since },
                None => Outcome::NoSuchAccount { closest: facts.closest.clone() },
            };
        }
        several => return Outcome::SeveralMatch { candidates: several.iter().map(Candidate::of).collect() },
    };
    about_the_account(account)
        .or_else(|| about_open_work(facts))
        .unwrap_or_else(|| about_the_placement(organisation, facts, account))
}

/// What the account itself forbids.
fn about_the_account(account: &KnownAccount) -> Option<Outcome> {
    let domain = account.email.domain().to_owned();
    match account.claim {
        Claim::DomainNotVerified => return Some(Outcome::NotManaged { domain, reason: NotManagedReason::DomainNotVerified }),
        Claim::NotClaimed => return Some(Outcome::NotManaged { domain, reason: NotManagedReason::NotClaimed }),
        Claim::Managed => {}
    }
    match account.status {
        AccountStatus::Active => {}
        status @ (AccountStatus::Suspended | AccountStatus::Deactivated | AccountStatus::Deleted) => {
            return Some(Outcome::NotActive { status });
        }
    }
    account.synced_from.clone().map(|lives_in| Outcome::FactorElsewhere { lives_in })
}

/// What is already under way.
fn about_open_work(facts: &Facts) -> Option<Outcome> {
    if let Some(recovery) = facts.open_recovery {
        return Some(Outcome::RecoveryOpen { recovery });
    }
    if let Some(open) = &facts.open_lease {
        return Some(Outcome::LeaseOpen { lease: open.lease, free_at: open.free_at });
    }
    facts.released.then_some(Outcome::Released)
}

fn about_the_placement(organisation: &Organisation, facts: &Facts, account: &KnownAccount) -> Outcome {
    if let Some(since) = facts.unreachable_since {
        return Outcome::Unreachable { since };
    }
    if after(account.learned_at, facts.too_old) < facts.now {
        return Outcome::TooOld { since: account.learned_at };
    }
    let Some(policy) = facts.placement.as_ref().and_then(|placement| placement.policy.clone()) else {
        return Outcome::Unreachable { since: facts.now };
    };
    if policy == organisation.recovery_policy {
        return Outcome::Stray;
    }
    let Some(settings) = organisation.policies.get(&policy) else {
        return Outcome::PolicyUnmapped { policy };
    };
    let name = settings.name.clone();
    match settings.two_step {
        TwoStep::Delegated => Outcome::FactorElsewhere {
            lives_in: settings.factor_lives_in.clone().unwrap_or_else(|| format!("the identity provider behind {name}")),
        },
        TwoStep::Optional => Outcome::AlreadyOptional { policy_name: name, factor: facts.factor },
        TwoStep::Mandatory if !organisation.is_home(&policy) => Outcome::PolicyNotHome { policy, policy_name: name },
        TwoStep::Mandatory => match facts.factor {
            Factor::Absent => Outcome::LoginLoop { home: policy, home_name: name },
            Factor::Enrolled => Outcome::LendAndReset { home: policy, home_name: name },
            Factor::Unknown => Outcome::LendAndConfirmReset { home: policy, home_name: name },
        },
    }
}

fn tier_reasons(organisation: &Organisation, facts: &Facts, account: &KnownAccount) -> Vec<TierReason> {
    let limits = &organisation.limits;
    let unseen = account.last_active.is_some_and(|at| after(at, limits.unseen) < facts.now);
    let mail_changed = account.mail_changed_at.is_some_and(|at| after(at, limits.mail_changed) > facts.now);
    [
        (account.administrator, TierReason::Administrator),
        (unseen, TierReason::Unseen),
        (mail_changed, TierReason::MailChanged),
        (facts.repudiated_before, TierReason::RepudiatedBefore),
        (facts.recent_requests >= limits.many_requests, TierReason::ManyRequests),
    ]
    .into_iter()
    .filter_map(|(holds, reason)| holds.then_some(reason))
    .collect()
}

#[cfg(test)]
mod tests;
