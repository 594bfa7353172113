//! All that a recovery's saga knows: facts, noted as they come in. Pure data; no e-mail address, name or free text in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homeward_types::limits::after;
use homeward_types::{AccountId, LeaseEnd, OrganisationId, PersonId, ProofKind, Timestamp};
use serde::{Deserialize, Serialize};

pub use super::lease::{LeaseFact, LeaseState};
use super::outcome::Reason;
pub use super::terms::{Millis, Terms};
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
    /// When a person said that the old factor is gone, until it is known whether it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_confirmed_at: Option<Timestamp>,
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
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
            reset_confirmed_at: None,
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
