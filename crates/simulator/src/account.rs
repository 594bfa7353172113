//! One account of the organisation: all its facts, and a fingerprint of those that nobody may change unnoticed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::timeline::{Moment, Timeline};

/// Whether the organisation owns the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The domain is verified and the account claimed.
    Managed,
    /// The organisation has no power over it.
    Unmanaged,
}

/// Whether the account can be used at all (`accountStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Usable.
    Active,
    /// Deactivated: sign-in is blocked.
    Inactive,
    /// Closed by a deletion; shown for a time of grace.
    Closed,
}

/// Whether the account is in use in the directory (`membershipStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// In use.
    Active,
    /// Suspended by an administrator.
    Suspended,
    /// Not a member.
    NoMembership,
}

/// Where the account comes from (`managementSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Made here by an invitation.
    Invited,
    /// Synced from an identity provider.
    Synced,
}

/// Where an account is: the index of the policy, and since when by the provider's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) policy: usize,
    /// `dateAdded`, epoch milliseconds.
    pub(crate) version: i64,
}

/// One API token that an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id at the provider.
    pub id: String,
    /// What its maker called it.
    pub label: String,
    /// Epoch milliseconds.
    pub created_ms: i64,
}

/// One account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) email: Timeline<Arc<str>>,
    pub(crate) claim: Claim,
    pub(crate) status: Status,
    pub(crate) membership: Membership,
    pub(crate) source: Source,
    pub(crate) administrator: bool,
    /// `None`: in no policy, as unmanaged accounts are.
    pub(crate) placement: Timeline<Option<Placed>>,
    pub(crate) factor: Timeline<bool>,
    /// The person cannot show the factor's codes.
    pub(crate) lost: bool,
    /// Epoch milliseconds; `None`: never.
    pub(crate) last_active: Option<i64>,
    /// Epoch milliseconds.
    pub(crate) created: i64,
    pub(crate) tokens: Vec<Token>,
    /// The person's present sign-in session, if any.
    pub(crate) session: Option<u64>,
    /// Deleted for good: no call finds it.
    pub(crate) gone: bool,
    /// The versions of policies that it was in before (only kept for [`crate::config::Versions::KeptOnReAdd`]).
    pub(crate) former: Vec<Placed>,
}

/// The facts of an account that nobody may change unnoticed, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) name: Arc<str>,
    pub(crate) email: Arc<str>,
    pub(crate) claim: Claim,
    pub(crate) status: Status,
    pub(crate) membership: Membership,
    pub(crate) administrator: bool,
    pub(crate) placement: Option<Placed>,
    pub(crate) factor: bool,
    pub(crate) tokens: usize,
    pub(crate) gone: bool,
}

impl Account {
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            name: Arc::clone(&self.name),
            email: Arc::clone(self.email.now()),
            claim: self.claim,
            status: self.status,
            membership: self.membership,
            administrator: self.administrator,
            placement: *self.placement.now(),
            factor: *self.factor.now(),
            tokens: self.tokens.len(),
            gone: self.gone,
        }
    }

    /// A number that differs when any fact differs. Sums of it tell whether a set of accounts is untouched.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut hash = Fnv::new();
        hash.text(&self.id);
        hash.text(&self.name);
        hash.text(self.email.now());
        let flags = [self.claim as u8, self.status as u8, self.membership as u8, u8::from(self.administrator)];
        hash.bytes(&flags);
        hash.bytes(&[u8::from(*self.factor.now()), u8::from(self.gone)]);
        hash.bytes(&self.tokens.len().to_le_bytes());
        if let Some(placed) = self.placement.now() {
            hash.bytes(&placed.policy.to_le_bytes());
            hash.bytes(&placed.version.to_le_bytes());
        }
        hash.0
    }

    /// Whether the account may be used to sign in.
    pub(crate) const fn usable(&self) -> bool {
        matches!(self.status, Status::Active) && matches!(self.membership, Membership::Active) && !self.gone
    }

    /// The address that a replica at `moment` shows.
    pub(crate) fn email_at(&self, moment: Moment) -> &str {
        self.email.at(moment)
    }
}

/// FNV-1a over 128 bits: fast, stable over restarts, and long enough that equal sums mean equal sets.
struct Fnv(u128);

impl Fnv {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }

    /// With its length, so that two texts cannot run into one another.
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&text.len().to_le_bytes());
    }
}
