//! What the saga asks of others. `domain.rs` turns these into messages and rows.

use serde::{Deserialize, Serialize};

use super::data::Recipient;

/// A request to another service, or to recovery's own tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Tell the approvers that there is something to decide.
    AskApprovers,
    /// Mark the votes as withdrawn, so that they speak for no other recovery.
    WithdrawVotes,
    /// Take a place under the exposure cap, or a place in the line.
    TakeSlot,
    /// Give it back, and let the next one in the line have it.
    GiveSlotBack,
    /// Permit and ask policy to lend the account.
    Lend,
    /// Ask directory to look at the account closely.
    Watch,
    /// It need not any more.
    Unwatch,
    /// Ask policy to remove the old factor, or to say who must.
    ResetFactor,
    /// Ask policy to bring the account home.
    Return(ReturnReason),
    /// Ask policy to end what was opened in the window.
    CleanWindow,
    /// Tell somebody.
    Tell(Notice, Recipient),
}

/// Why the account is brought home, for policy's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnReason {
    /// The user set up a new factor.
    Enrolled,
    /// The time is over.
    Due,
    /// Cancelled.
    Cancelled,
    /// A person asked for it.
    Asked,
    /// "This was not me."
    Repudiated,
    /// The lend was not answered, or a step before failed.
    Failed,
}

impl ReturnReason {
    /// The reason's stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Due => "due",
            Self::Cancelled => "cancelled",
            Self::Asked => "asked",
            Self::Repudiated => "repudiated",
            Self::Failed => "failed",
        }
    }
}

/// What a notice is about. Its name is the middle part of the delivery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// To the owner: somebody asked for your account.
    Requested,
    /// To an approver: there is something to decide.
    ApprovalNeeded,
    /// To the requester: remove the old factor.
    ResetNeeded,
    /// To the owner: sign in and enrol.
    Invitation,
    /// To the owner: time is running out.
    Reminder,
    /// To everyone who took part: how it ended.
    Closed,
}

impl Notice {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Requested, Self::ApprovalNeeded, Self::ResetNeeded, Self::Invitation, Self::Reminder, Self::Closed];

    /// The name in delivery keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ApprovalNeeded => "approval_needed",
            Self::ResetNeeded => "reset_needed",
            Self::Invitation => "invitation",
            Self::Reminder => "reminder",
            Self::Closed => "closed",
        }
    }
}
