//! What went wrong with a call, and above all what that proves.

use std::time::Duration;

use crate::reason::Reason;

/// What the caller should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Try again, not before this time has passed.
    Retry {
        /// How long to wait at least.
        after: Duration,
    },
    /// The account (or each account of the answer) cannot be served like this, however often we try.
    PermanentForAccount,
    /// The policy that was named does not exist (any more) or takes nobody.
    PermanentForPolicy,
    /// Nothing of this kind will work until an administrator acts: key revoked or too weak, plan too small, wrong address.
    PermanentForOrganisation,
    /// It may have happened. Only a later read can tell. Reads are never ambiguous.
    Ambiguous,
}

/// A call that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call}: {sentence} [{reason}]")]
pub struct ProviderError {
    /// The call, by its template (no account ids, no addresses).
    pub call: &'static str,
    /// What to do about it.
    pub class: ErrorClass,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// Why, by a stable code.
    pub reason: Reason,
    /// What happened and what helps, for a person. Holds no secret.
    pub sentence: String,
    not_taken: bool,
    for_the_rate: bool,
}

impl ProviderError {
    /// An error after which the call may or may not have taken effect.
    pub fn new(call: &'static str, class: ErrorClass, status: Option<u16>, sentence: impl Into<String>) -> Self {
        let (reason, sentence) = (Reason::Unclassified, sentence.into());
        Self { call, class, status, reason, sentence, not_taken: false, for_the_rate: false }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }

    /// The same, proved to have had no effect: it was a read, it never left, or the answer says so.
    #[must_use]
    pub fn not_taken(mut self) -> Self {
        self.not_taken = true;
        self
    }

    /// The same, for no other reason than the rate of our calls.
    #[must_use]
    pub fn for_the_rate(mut self) -> Self {
        self.for_the_rate = true;
        self
    }

    /// Whether only the rate of our calls stood in the way: the provider is there, it has no room for us just now.
    pub fn is_for_the_rate(&self) -> bool {
        self.for_the_rate
    }

    /// Whether the key was refused: nothing works with it until an administrator acts.
    pub fn refuses_the_key(&self) -> bool {
        self.class == ErrorClass::PermanentForOrganisation && self.reason == Reason::KeyRefused
    }

    /// Whether this answer proves that the call had, and will have, no effect. Each adapter lists these for each call.
    pub fn proves_not_taken(&self) -> bool {
        self.not_taken
    }

    /// How long to wait before the next try, if a next try makes sense without a person.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.class {
            ErrorClass::Retry { after } => Some(after),
            ErrorClass::PermanentForAccount
            | ErrorClass::PermanentForPolicy
            | ErrorClass::PermanentForOrganisation
            | ErrorClass::Ambiguous => None,
        }
    }
}
