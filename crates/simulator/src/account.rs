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
        let mut hash = Mix::new();
        hash.text(&self.id);
        hash.text(&self.name);
        hash.text(self.email.now());
        let flags = [
            self.claim as u8,
            self.status as u8,
            self.membership as u8,
            u8::from(self.administrator),
            u8::from(*self.factor.now()),
            u8::from(self.gone),
            u8::from(self.placement.now().is_some()),
            0,
        ];
        hash.word(u64::from_le_bytes(flags));
        hash.word(self.tokens.len() as u64);
        if let Some(placed) = self.placement.now() {
            hash.word(placed.policy as u64);
            hash.word(placed.version.cast_unsigned());
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

/// A multiplying hash over 128 bits, eight bytes at a time: fast also where nothing is optimised, the same after a
/// restart, and long enough that equal sums mean equal sets. It guards against accidents, not against an adversary.
struct Mix(u128);

impl Mix {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    const fn word(&mut self, word: u64) {
        // An odd constant without structure (the golden ratio's fraction), then the high bits back into the low ones.
        self.0 = (self.0 ^ word as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 ^= self.0 >> 67;
    }

    /// With its length, so that two texts cannot run into one another.
    fn text(&mut self, text: &str) {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(text.len() as u64);
    }
}
