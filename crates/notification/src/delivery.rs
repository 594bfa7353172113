//! One notice to one recipient, and what became of a try.

pub mod store;

use std::collections::BTreeMap;

use homeward_chassis::telemetry::TraceContext;
use homeward_types::{MessageId, OrganisationId, Timestamp};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Someone asked for your account.
    Requested,
    /// Your decision is needed.
    ApprovalNeeded,
    /// Remove the old factor on this page.
    ResetNeeded,
    /// Sign in here and enrol.
    Invitation,
    /// Time is running out.
    Reminder,
    /// How it ended.
    Closed,
    /// Something needs a person's eye.
    Incident,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::ApprovalNeeded,
        Self::ResetNeeded,
        Self::Invitation,
        Self::Reminder,
        Self::Closed,
        Self::Incident,
    ];

    /// As it is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ApprovalNeeded => "approval_needed",
            Self::ResetNeeded => "reset_needed",
            Self::Invitation => "invitation",
            Self::Reminder => "reminder",
            Self::Closed => "closed",
            Self::Incident => "incident",
        }
    }

    /// From what was stored.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A notice that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Known by this.
    pub delivery_key: String,
    /// The case, or empty.
    pub recovery: String,
    /// Where.
    pub organisation: OrganisationId,
    /// What it is about.
    pub kind: Kind,
    /// The recipient's name.
    pub recipient_name: String,
    /// The recipient's address, as the command had it.
    pub recipient_email: String,
    /// What the text needs.
    pub fields: BTreeMap<String, String>,
    /// Tries so far.
    pub attempts: u32,
    /// The span that the command was consumed in.
    pub trace: TraceContext,
    /// The command that asked for it.
    pub message: MessageId,
    /// Until when it is this worker's alone to send, as the database has it. Also tells this claim from any other.
    pub claimed_until: Timestamp,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// The server has it, or the file is synced.
    Accepted {
        /// The file, or the server's answer.
        receipt: String,
    },
    /// It may go better later.
    Again {
        /// Why.
        problem: String,
    },
    /// It will never go.
    Failed {
        /// Why.
        problem: String,
    },
    /// It was not tried: the claim ended before its turn came, and somebody else has it by now.
    Late,
}

/// How a delivery stands for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Accepted.
    Accepted,
    /// Given up.
    Failed {
        /// Why.
        problem: String,
    },
}
