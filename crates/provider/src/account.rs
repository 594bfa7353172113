//! Accounts as one read saw them.

use homeward_types::diagnosis::{AccountStatus, Claim, KnownAccount};
use homeward_types::{AccountId, Email, Factor, Timestamp};

/// Where to go on reading. Opaque: only the adapter that gave it understands it. May be stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor that a stored text stands for.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a long list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What this part holds, in the provider's order; may be empty without being the last.
    pub items: Vec<T>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<Cursor>,
    /// When we began the read (our clock).
    pub begun_at: Timestamp,
}

/// Where an account is managed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// At the provider itself.
    Here,
    /// It comes from this identity provider, in words for the help desk.
    SyncedFrom(String),
    /// This read did not say.
    Unknown,
}

/// One account as one read saw it. What the read did not say is `None` or `Unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountRecord {
    /// The provider's id.
    pub account: AccountId,
    /// The present address.
    pub email: Option<Email>,
    /// The person's name there; may be empty.
    pub name: String,
    /// Whether the organisation may manage it.
    pub claim: Option<Claim>,
    /// Whether it is in use.
    pub status: Option<AccountStatus>,
    /// Where it is managed.
    pub origin: Origin,
    /// Whether it administers anything.
    pub administrator: Option<bool>,
    /// Its second factor.
    pub factor: Factor,
    /// When it was last active.
    pub last_active: Option<Timestamp>,
    /// When we began the read (our clock).
    pub begun_at: Timestamp,
}

impl AccountRecord {
    /// The account as the diagnosis takes it, with the careful reading of what is not known: not claimed, suspended, an
    /// administrator. A page of accounts does not say who administers; a search does.
    ///
    /// `None` without an address: such an account can be neither named to people nor moved.
    pub fn known(&self) -> Option<KnownAccount> {
        Some(KnownAccount {
            account: self.account.clone(),
            email: self.email.clone()?,
            name: self.name.clone(),
            claim: self.claim.clone().unwrap_or(Claim::NotClaimed),
            status: self.status.unwrap_or(AccountStatus::Suspended),
            synced_from: match &self.origin {
                Origin::SyncedFrom(provider) => Some(provider.clone()),
                Origin::Here | Origin::Unknown => None,
            },
            administrator: self.administrator.unwrap_or(true),
            last_active: self.last_active,
            mail_changed_at: None,
            learned_at: self.begun_at,
        })
    }
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub enum Search<'a> {
    /// Accounts that hold these addresses now.
    Emails(&'a [Email]),
    /// Accounts with these ids.
    Accounts(&'a [AccountId]),
    /// Accounts whose name or address resembles this text; the first page of hits only.
    Term(&'a str),
}

/// An account, with the address that we believe it holds: reads by address can be cheaper than by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Whose.
    pub account: AccountId,
    /// The address we know, if any. A wrong one costs a second call, never a wrong answer.
    pub email: Option<Email>,
}

/// An account's second factor as one read saw it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FactorReading {
    /// Whose.
    pub account: AccountId,
    /// What was seen.
    pub factor: Factor,
    /// When we began the read (our clock).
    pub begun_at: Timestamp,
    /// What the same read said about the account besides, where it says more.
    pub record: Option<AccountRecord>,
}
