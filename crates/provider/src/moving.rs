//! Moving accounts between policies. An accepted move proves nothing; only a placement read does.

use homeward_types::{AccountId, Email, PolicyId, Timestamp};

use crate::error::ProviderError;
use crate::priority::Priority;

/// A provider's name for work that it accepted and does later. May be stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskId(String);

impl TaskId {
    /// The task that a stored text stands for.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An order to move accounts into one policy. Any number of them: the adapter splits.
#[derive(Debug, Clone, Copy)]
pub struct MoveOrder<'a> {
    /// The destination.
    pub to: &'a PolicyId,
    /// Each account with the address read immediately before.
    pub who: &'a [(AccountId, Email)],
    /// The adapter's clock is asked before each write to the socket; nothing is sent at or after this moment.
    /// For a lend the earlier of claim and `not_after`, for a return the claim.
    pub send_before: Timestamp,
    /// Who goes first.
    pub priority: Priority,
}

/// What the provider said to a move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MoveAccepted {
    /// It will do it later; ask by this id.
    Task(TaskId),
    /// It says that it is done.
    Applied,
}

/// The provider's answer for some accounts of an order. Each account of the order stands in one answer of the result.
#[derive(Debug, Clone)]
pub struct MoveAnswer {
    /// For whom.
    pub accounts: Vec<AccountId>,
    /// What was said. An error for which [`ProviderError::proves_not_taken`] is false leaves the attempts *unknown*.
    pub answer: Result<MoveAccepted, ProviderError>,
}

/// Why a task failed for an account, in the provider's words. For people: nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FailureReason {
    /// The provider's status number, if it gave one.
    pub status: Option<u16>,
    /// Short.
    pub title: String,
    /// Longer.
    pub detail: String,
}

/// One address that a task could not move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskFailure {
    /// As the provider wrote it.
    pub email: Email,
    /// Why.
    pub reason: FailureReason,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskReport {
    /// Still at work, or not begun.
    pub running: bool,
    /// Accounts that the provider says it moved.
    pub succeeded: u64,
    /// Accounts that the provider says it could not move; may be more than `failures` names.
    pub failed: u64,
    /// The failures that were named.
    pub failures: Vec<TaskFailure>,
}
