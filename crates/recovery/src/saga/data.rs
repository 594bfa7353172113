//! All that a recovery's saga knows: facts, noted as they come in. Pure data; no e-mail address, name or free text in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use homeward_types::limits::after;
use homeward_types::{AccountId, Factor, LeaseEnd, Organisation, OrganisationId, PersonId, ProofKind, Refusal, Tier, Timestamp};
use serde::{Deserialize, Serialize};

use super::outcome::Reason;
use crate::case::Opening;

/// The facts of one recovery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Data {
    /// Where.
    pub organisation: OrganisationId,
    /// Whose factor is lost.
    pub account: AccountId,
    /// Who asked.
    pub requester: PersonId,
    /// What must be shown and how long things may take, as it was when the recovery began.
    pub terms: Terms,
    /// Proof by kind, with the moment at which it was attached.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proofs: BTreeMap<ProofKind, Timestamp>,
    /// Votes in their order, one a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Vote>,
    /// When the slot was taken, which is the moment of the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Timestamp>,
    /// What policy last said about the lease, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseFact>,
    /// How far the removal of the old factor is.
    #[serde(default, skip_serializing_if = "Reset::is_unanswered")]
    pub reset: Reset,
    /// Where a person must remove the old factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_page: Option<String>,
    /// When the read began that showed the factor absent after the account was seen out: the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_at: Option<Timestamp>,
    /// What became of the invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Delivery>,
    /// When the read began that is the evidence of enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled_at: Option<Timestamp>,
    /// Whether what was opened in the window was dealt with.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cleaned: bool,
    /// Who was told how it ended, or cannot be told.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<Recipient>,
    /// Who wanted out, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<Leave>,
    /// When the owner said "this was not me".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repudiated_at: Option<Timestamp>,
    /// Why the first step failed that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Reason>,
    /// What the case's own rows begin with. Only there in the transaction that opens the case; never stored with the saga.
    #[serde(skip)]
    pub opening: Option<Arc<Opening>>,
}

/// One person's vote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// Who voted.
    pub by: PersonId,
    /// For or against.
    pub approve: bool,
}

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

/// How far the removal of the old factor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Policy has not answered.
    #[default]
    Unanswered,
    /// A person must do it, and nobody was told yet.
    PersonNeeded,
    /// A person must do it and was told (or cannot be).
    PersonTold,
    /// A person says that it is done. Asks for a read; proves nothing.
    Confirmed,
    /// Policy says that it is done.
    Done,
}

impl Reset {
    fn is_unanswered(&self) -> bool {
        *self == Self::Unanswered
    }
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// A server took it.
    Accepted,
    /// Given up.
    Failed,
}

/// Whom a notice goes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The account's owner.
    Owner,
    /// Somebody who took part.
    Person(PersonId),
}

/// Somebody wants the recovery to end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// An approver said no.
    Denied(PersonId),
    /// Cancelled; once a lease may exist this means: return now.
    Cancelled(PersonId),
    /// Enough: return now.
    ReturnNow(PersonId),
    /// Policy holds a lease of a case that this database does not know any more: it was restored from a backup.
    CaseLost,
}

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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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

impl Data {
    /// A recovery that nobody has done anything for yet.
    pub fn new(organisation: OrganisationId, account: AccountId, requester: PersonId, terms: Terms) -> Self {
        Self {
            organisation,
            account,
            requester,
            terms,
            proofs: BTreeMap::new(),
            votes: Vec::new(),
            granted_at: None,
            lease: None,
            reset: Reset::default(),
            reset_page: None,
            absent_at: None,
            invitation: None,
            enrolled_at: None,
            cleaned: false,
            told: BTreeSet::new(),
            leave: None,
            repudiated_at: None,
            failure: None,
            opening: None,
        }
    }

    /// Whether enough proof was attached, however old it is by now.
    pub fn is_proved(&self) -> bool {
        self.proofs.len() >= self.terms.proofs
    }

    /// Until when enough proof counts; `None` when no proof is needed, or not enough is there.
    pub fn proved_until(&self) -> Option<Timestamp> {
        let mut ends: Vec<_> = self.proofs.values().map(|at| after(*at, self.terms.proof_valid.duration())).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.get(self.terms.proofs.checked_sub(1)?).copied()
    }

    /// Whether enough proof counts at `at`.
    pub fn is_proved_at(&self, at: Timestamp) -> bool {
        self.terms.proofs == 0 || self.proved_until().is_some_and(|until| at <= until)
    }

    /// Who approved, in order.
    pub fn approvers(&self) -> impl Iterator<Item = &PersonId> {
        self.votes.iter().filter(|vote| vote.approve).map(|vote| &vote.by)
    }

    /// Whether enough persons approved.
    pub fn is_approved(&self) -> bool {
        self.approvers().count() >= self.terms.approvers
    }

    /// The last moment at which the lend may be sent to the provider.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.granted_at.map(|at| after(at, self.terms.grant_valid.duration()))
    }

    /// The lease's state, if policy ever spoke of it.
    pub fn lease_state(&self) -> Option<&LeaseState> {
        self.lease.as_ref().map(|lease| &lease.state)
    }

    /// How the lease ended, if it did.
    pub fn lease_end(&self) -> Option<&LeaseEnd> {
        match self.lease_state()? {
            LeaseState::Closed(end) => Some(end),
            LeaseState::Opening | LeaseState::Active | LeaseState::Closing | LeaseState::Settling => None,
        }
    }

    /// Whether a lease is known that is not over.
    pub fn is_lease_open(&self) -> bool {
        self.lease.is_some() && self.lease_end().is_none()
    }

    /// Whether a lease was ever opened.
    pub fn was_opened(&self) -> bool {
        self.lease.is_some() && self.lease_end() != Some(&LeaseEnd::NeverLent)
    }

    /// Whether the account was ever seen out.
    pub fn was_out(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.out_at.is_some() || lease.state == LeaseState::Active)
    }

    /// When policy ends the lease by itself.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.lease.as_ref().and_then(|lease| lease.due_at)
    }

    /// Whether the lease is on its way to its end, or there.
    pub fn is_lease_ending(&self) -> bool {
        self.lease_state().is_some_and(|state| match state {
            LeaseState::Opening | LeaseState::Active => false,
            LeaseState::Closing | LeaseState::Settling | LeaseState::Closed(_) => true,
        })
    }

    /// Whether all that is left is to bring the account home: a step failed, the user enrolled, or policy began by itself.
    pub fn is_leaving(&self) -> bool {
        self.failure.is_some() || self.enrolled_at.is_some() || self.is_lease_ending()
    }

    /// Everyone who must be told how it ended: the owner, and whoever took part.
    pub fn audience(&self) -> impl Iterator<Item = Recipient> {
        let parties = std::iter::once(&self.requester).chain(self.votes.iter().map(|vote| &vote.by));
        std::iter::once(Recipient::Owner).chain(parties.map(|person| Recipient::Person(person.clone())))
    }
}
