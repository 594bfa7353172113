//! The ground-truth log: every effect on an account, when, from what to what, and why. No provider call shows it.

use homeward_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Which fact of an account changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The policy that the account is in, or the version of being there; `from` and `to` are policy ids.
    Policy,
    /// The second factor; `enrolled` or `absent`.
    Factor,
    /// The e-mail address.
    Email,
    /// The display name.
    Name,
    /// `active`, `inactive` or `closed`.
    Status,
    /// `active`, `suspended` or `no_membership`.
    Membership,
    /// `managed` or `unmanaged`.
    Claim,
    /// `administrator` or `member`.
    Administrator,
    /// How many API tokens the account holds.
    Tokens,
    /// `there` or `gone`.
    Existence,
}

/// Why an effect came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// An `add-users` task.
    Task {
        /// The task's id at the provider.
        id: String,
    },
    /// Another call of the provider's API.
    Call {
        /// What was called, in a word or two.
        call: String,
    },
    /// An administrator on the admin console's page.
    AdminPage,
    /// The person, at the sign-in page.
    Person,
    /// Somebody else, by hand or by another system: what a test did over the control side.
    Drift,
}

/// One line of the ground-truth log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it took effect (UTC, the simulator's clock).
    pub at: Timestamp,
    /// The account.
    pub account: String,
    /// The account's address just before.
    pub email: String,
    /// What changed.
    pub fact: Fact,
    /// From.
    pub from: Option<String>,
    /// To.
    pub to: Option<String>,
    /// For a change of policy: the new `dateAdded`.
    pub version: Option<i64>,
    /// Why.
    pub cause: Cause,
}
