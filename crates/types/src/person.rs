//! Who acts. Requester, approvers and subject must be different persons.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::{AccountId, Email, PersonId};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ask for a recovery, attach proof, confirm a reset (the help desk).
    Requester,
    /// Approve or deny.
    Approver,
    /// Return many, drain, release, read everything.
    Operator,
    /// Read everything, change nothing.
    Auditor,
    /// A Homeward service speaking for itself.
    Service,
}

/// A person known to Homeward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Stable name of the person, not of a token.
    pub id: PersonId,
    /// What people call them.
    pub name: String,
    /// Where notices go.
    pub email: Option<Email>,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// Accounts at the provider that are theirs: they may not approve for these.
    #[serde(default)]
    pub accounts: BTreeSet<AccountId>,
}

impl Person {
    /// Whether the person holds `role`.
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
