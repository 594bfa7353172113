//! What happens to accounts and policies without the product: by hand, by other systems, by tests over the control side.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::{Claim, Membership, Status, Token};
use crate::effect::Cause;
use crate::policy::Demand;

use super::Organisation;
use super::events::Action;

/// One change of an account that the product did not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Drift {
    /// Another display name.
    Rename {
        /// The new name.
        name: String,
    },
    /// Another e-mail address, which nobody else may hold.
    Email {
        /// The new address.
        email: String,
    },
    /// The addresses of two accounts change places.
    SwapEmail {
        /// The other account's id.
        with: String,
    },
    /// Suspended in the directory.
    Suspend {},
    /// No longer suspended.
    Restore {},
    /// Deactivated: sign-in is blocked, sessions end.
    Deactivate {},
    /// No longer deactivated.
    Reactivate {},
    /// Deleted: no call finds it any more; or, with `grace`, closed and still shown.
    Delete {
        /// Still shown as closed.
        #[serde(default)]
        grace: bool,
    },
    /// The organisation loses the account: it is in no policy any more.
    Unclaim {},
    /// The organisation claims the account: it lands in the default policy.
    Claim {},
    /// Moved to another policy by hand.
    Move {
        /// The policy's id.
        policy: String,
    },
    /// The factor changes.
    Factor {
        /// Whether one is enrolled.
        enrolled: bool,
        /// Whether the person cannot show its codes.
        #[serde(default)]
        lost: bool,
    },
    /// The account makes an API token.
    Token {
        /// What it is called.
        label: String,
    },
    /// The account becomes, or stops being, an organisation administrator.
    Administrator {
        /// Which of the two.
        administrator: bool,
    },
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriftError {
    /// No account has this id.
    #[error("no account has the id {0}")]
    NoSuchAccount(String),
    /// No policy has this id, or it was deleted.
    #[error("no policy has the id {0}")]
    NoSuchPolicy(String),
    /// Another account holds the address.
    #[error("the address {0} belongs to another account; use swap-email to exchange two")]
    AddressTaken(String),
    /// The last mandatory policy cannot be deleted: its members would have nowhere to go.
    #[error("the policy {0} is the only one that could be the default")]
    LastPolicy(String),
}

impl Organisation {
    /// Makes a change of an account.
    pub(crate) fn drift(&mut self, id: &str, drift: Drift) -> Result<(), DriftError> {
        let slot = self.find(id).ok_or_else(|| DriftError::NoSuchAccount(id.to_owned()))?;
        let now = self.now;
        match drift {
            Drift::Rename { name } => self.edit(slot, now, &Cause::Drift, |account| account.name = name.into()),
            Drift::Email { email } => self.change_email(slot, &email)?,
            Drift::SwapEmail { with } => self.swap_emails(slot, &with)?,
            Drift::Suspend {} => self.edit(slot, now, &Cause::Drift, |account| account.membership = Membership::Suspended),
            Drift::Restore {} => self.edit(slot, now, &Cause::Drift, |account| account.membership = Membership::Active),
            Drift::Deactivate {} => self.set_status(slot, Status::Inactive, &Cause::Drift),
            Drift::Reactivate {} => self.set_status(slot, Status::Active, &Cause::Drift),
            Drift::Delete { grace: true } => self.set_status(slot, Status::Closed, &Cause::Drift),
            Drift::Delete { grace: false } => {
                self.close_session(slot);
                self.edit(slot, now, &Cause::Drift, |account| account.gone = true);
            }
            Drift::Unclaim {} => self.edit(slot, now, &Cause::Drift, |account| {
                account.claim = Claim::Unmanaged;
                account.placement.set(now, None);
            }),
            Drift::Claim {} => {
                self.edit(slot, now, &Cause::Drift, |account| account.claim = Claim::Managed);
                self.place(slot, now, self.default_policy, &Cause::Drift);
            }
            Drift::Move { policy } => {
                let policy = self.find_policy(&policy).ok_or(DriftError::NoSuchPolicy(policy))?;
                self.place(slot, now, policy, &Cause::Drift);
            }
            Drift::Factor { enrolled, lost } => self.edit(slot, now, &Cause::Drift, |account| {
                account.factor.set(now, enrolled);
                account.lost = enrolled && lost;
            }),
            Drift::Token { label } => {
                let token = Token { id: self.new_id(), label, created_ms: now / 1_000 };
                self.edit(slot, now, &Cause::Drift, |account| account.tokens.push(token));
            }
            Drift::Administrator { administrator } => {
                self.edit(slot, now, &Cause::Drift, |account| account.administrator = administrator);
            }
        }
        Ok(())
    }

    fn change_email(&mut self, slot: usize, email: &str) -> Result<(), DriftError> {
        if self.find_email(email).is_some_and(|holder| holder != slot) {
            return Err(DriftError::AddressTaken(email.to_owned()));
        }
        self.set_email(slot, email.to_lowercase().into());
        Ok(())
    }

    fn swap_emails(&mut self, slot: usize, with: &str) -> Result<(), DriftError> {
        let other = self.find(with).ok_or_else(|| DriftError::NoSuchAccount(with.to_owned()))?;
        let (mine, theirs) = (Arc::clone(self.accounts[slot].email.now()), Arc::clone(self.accounts[other].email.now()));
        self.set_email(slot, theirs);
        self.set_email(other, mine);
        Ok(())
    }

    fn set_email(&mut self, slot: usize, email: Arc<str>) {
        let now = self.now;
        self.edit(slot, now, &Cause::Drift, |account| account.email.set(now, email));
        self.record(slot, now, Action::EmailChanged, None);
    }

    /// Activates, deactivates or closes an account; sessions of an unusable one end.
    pub(crate) fn set_status(&mut self, slot: usize, status: Status, cause: &Cause) {
        let now = self.now;
        self.edit(slot, now, cause, |account| account.status = status);
        if status != Status::Active {
            self.close_session(slot);
        }
        self.record_status(slot, now, status);
    }

    /// Revokes an API token; `false` if the account has none of this id.
    pub(crate) fn revoke_token(&mut self, slot: usize, token: &str) -> bool {
        let now = self.now;
        if !self.accounts[slot].tokens.iter().any(|held| held.id == token) {
            return false;
        }
        let cause = Cause::Call { call: "api-tokens delete".into() };
        self.edit(slot, now, &cause, |account| account.tokens.retain(|held| held.id != token));
        self.record(slot, now, Action::TokenRevoked, None);
        true
    }

    /// Deletes a policy. Its members land in the default policy; if it was the default one, another mandatory policy
    /// becomes the default.
    pub(crate) fn delete_policy(&mut self, id: &str) -> Result<(), DriftError> {
        let policy = self.find_policy(id).ok_or_else(|| DriftError::NoSuchPolicy(id.to_owned()))?;
        if policy == self.default_policy {
            let heir = |(index, candidate): (usize, &crate::policy::PolicyRecord)| {
                (index != policy && !candidate.deleted && candidate.demand == Demand::Mandatory).then_some(index)
            };
            let heir = self.policies.iter().enumerate().find_map(heir);
            self.default_policy = heir.ok_or_else(|| DriftError::LastPolicy(id.to_owned()))?;
        }
        self.policies[policy].deleted = true;
        let now = self.now;
        for slot in 0..self.accounts.len() {
            if self.accounts[slot].placement.now().is_some_and(|placed| placed.policy == policy) {
                self.place(slot, now, self.default_policy, &Cause::Drift);
            }
        }
        Ok(())
    }

    /// Changes what a policy demands; its members stay.
    pub(crate) fn set_demand(&mut self, id: &str, demand: Demand) -> Result<(), DriftError> {
        let policy = self.find_policy(id).ok_or_else(|| DriftError::NoSuchPolicy(id.to_owned()))?;
        self.policies[policy].demand = demand;
        Ok(())
    }
}
