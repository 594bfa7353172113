//! The provider's own log: evidence with the provider's time.

use homeward_types::{AccountId, Email, Timestamp};

use crate::account::Cursor;

/// What an event means to the procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An account signed in.
    SignedIn,
    /// An account's factor was taken away.
    FactorRemoved,
    /// An account set up a factor.
    FactorEnrolled,
    /// An account was put into another policy.
    PolicyChanged,
    /// Something else.
    Other,
}

/// One line of the provider's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The provider's id: the same event may be seen again.
    pub id: String,
    /// When it happened (provider's clock).
    pub at: Timestamp,
    /// What it means to us.
    pub kind: EventKind,
    /// The provider's name of the action.
    pub action: String,
    /// Who did it.
    pub actor: Option<AccountId>,
    /// The accounts it was about; for what an account does itself, the actor.
    pub subjects: Vec<AccountId>,
    /// Addresses of those it was about, where the log gives addresses rather than ids.
    pub subject_emails: Vec<Email>,
}

/// A part of the log, oldest first as the provider processed it. Late events may come after newer ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What was read.
    pub events: Vec<Event>,
    /// Where to go on, now or later; to be stored together with what was made of the events. `None`: begin again from a time.
    pub next: Option<Cursor>,
    /// More is there already.
    pub more: bool,
}
