//! What is done for an account beside moving it: reset, containment, tokens, and whether it is still ours.

use homeward_types::{AccountId, Timestamp};
use url::Url;

use crate::error::ProviderError;

/// What a person has to do where the provider has no call for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResetInstruction {
    /// The page to open.
    pub page: Url,
    /// What to do there, in plain words.
    pub how: String,
}

/// How a reset went.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reset {
    /// The provider accepted it. Only a factor read proves it.
    Done,
    /// A person must do it; the factor read proves it, never the person's word.
    Person(ResetInstruction),
}

/// A provider's name for one of an account's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// The token that a text from the provider stands for.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token that the account's owner made for programs; it outlives a reset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountToken {
    /// Which.
    pub id: TokenId,
    /// What its owner called it.
    pub label: String,
    /// When it was made (provider's clock); `None` counts as made in the window.
    pub created_at: Option<Timestamp>,
}

/// Why an administrator's key may not manage an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ManageRefusal {
    /// It is not managed by this organisation.
    NotManaged,
    /// Its factor lives with single sign-on.
    SingleSignOn,
    /// It comes from another directory, named in words for the help desk.
    SyncedFrom(String),
    /// Another reason, in the provider's words.
    Other(String),
}

/// Whether the key may manage an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ManageCheck {
    /// It may.
    May,
    /// It may not.
    MayNot(ManageRefusal),
    /// There is no such account.
    NoSuchAccount,
}

/// Which of two *different* calls looks whether an account is still there. `gone` needs both to miss it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// By searching the directory for its id.
    Search,
    /// By asking for the account itself.
    Itself,
}

/// Whether an account is there and ours, as one call saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// There, and managed by the organisation (also when suspended).
    Managed,
    /// There, but no longer managed.
    NotManaged,
    /// Not found.
    NotFound,
}

/// What a look saw of one of the accounts that were asked for.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Which.
    pub account: AccountId,
    /// Whether it is there and ours. An error is about this account alone, and is never a reason to call it gone.
    pub presence: Result<Presence, ProviderError>,
}
