//! A case as its own rows have it: what was asked, of whom, and how it ended. What happens meanwhile is the saga's.

pub mod store;

use homeward_types::{AccountId, Diagnosis, Email, Factor, OrganisationId, PersonId, PolicyId, RecoveryId, Tier, Timestamp};

use crate::saga::data::Data;

/// What a case's own rows begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Opening {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// The account's address at the diagnosis.
    pub email: Option<Email>,
    /// The account's name.
    pub name: String,
    /// Why, in the requester's words.
    pub reason: String,
    /// The requester's own key for asking once.
    pub idempotency_key: Option<String>,
    /// The recovery whose proof was carried over.
    pub prefilled_from: Option<RecoveryId>,
    /// What the approvers see, and the grant repeats.
    pub found: Found,
    /// SHA-256 of the token in the links "this was not me".
    pub not_me_hash: [u8; 32],
}

/// What the diagnosis found, as far as the grant repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// The outcome's code.
    pub code: String,
    /// Where the account must return.
    pub home: PolicyId,
    /// The factor that was read.
    pub factor: Factor,
    /// Requests for this account shortly before.
    pub recent_requests: u32,
    /// Whether an earlier recovery of the account was repudiated.
    pub repudiated_before: bool,
    /// SHA-256 over the diagnosis, in hexadecimal.
    pub diagnosis_hash: String,
}

impl Found {
    /// What `diagnosis` found; `None` if a lend would not help.
    pub fn of(diagnosis: &Diagnosis, history: History) -> Option<Self> {
        Some(Self {
            code: diagnosis.outcome.code().to_owned(),
            home: diagnosis.outcome.lends_from()?.clone(),
            factor: diagnosis.factor,
            recent_requests: history.recent,
            repudiated_before: history.repudiated,
            diagnosis_hash: hash_of(diagnosis),
        })
    }
}

/// SHA-256 over the diagnosis as JSON, in hexadecimal.
fn hash_of(diagnosis: &Diagnosis) -> String {
    // Plain data with text keys always has a JSON form; an empty one would still be a hash that nobody approved.
    let json = serde_json::to_vec(diagnosis).unwrap_or_default();
    crate::grant::hex(ring::digest::digest(&ring::digest::SHA256, &json).as_ref())
}

/// A case as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Which.
    pub id: RecoveryId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose factor is lost.
    pub account: AccountId,
    /// Who asked.
    pub requester: PersonId,
    /// When.
    pub requested_at: Timestamp,
    /// How careful to be.
    pub tier: Tier,
    /// What the diagnosis found.
    pub found: Found,
    /// The account's address; `None` if it was never known, or was erased.
    pub email: Option<Email>,
    /// The account's name; empty if it was erased.
    pub name: String,
    /// Why, in the requester's words; empty if it was erased.
    pub reason: String,
    /// How it ended; `None` while it is open.
    pub ended: Option<Ended>,
    /// When the owner said "this was not me".
    pub repudiated_at: Option<Timestamp>,
}

impl Case {
    /// A case that is being opened, before its rows are written.
    pub fn born(id: RecoveryId, data: &Data, opening: &Opening) -> Self {
        Self {
            id,
            organisation: data.organisation.clone(),
            account: data.account.clone(),
            requester: data.requester.clone(),
            requested_at: opening.requested_at,
            tier: data.terms.tier,
            found: opening.found.clone(),
            email: opening.email.clone(),
            name: opening.name.clone(),
            reason: opening.reason.clone(),
            ended: None,
            repudiated_at: None,
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// The outcome's code.
    pub outcome: String,
    /// The outcome in a sentence for the staff.
    pub sentence: String,
}

/// What was asked for an account before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Requests lately; those that policy did not lend for do not count.
    pub recent: u32,
    /// Whether an earlier recovery was repudiated.
    pub repudiated: bool,
    /// The open recovery, if there is one.
    pub open: Option<RecoveryId>,
}
