//! Accounts and candidates.

use homeward_types::diagnosis::{AccountStatus, Candidate, Claim, KnownAccount};

use super::{WireError, moment, moment_optional, parse, parse_optional, timestamp};
use crate::words::v1;

fn status_name(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Deleted => "deleted",
    }
}

fn status_of(name: &str) -> Result<AccountStatus, WireError> {
    match name {
        "active" => Ok(AccountStatus::Active),
        "suspended" => Ok(AccountStatus::Suspended),
        "deactivated" => Ok(AccountStatus::Deactivated),
        "deleted" => Ok(AccountStatus::Deleted),
        other => Err(WireError::invalid("status", format!("{other:?} is not a status"))),
    }
}

fn claim_name(claim: &Claim) -> &'static str {
    match claim {
        Claim::Managed => "managed",
        Claim::DomainNotVerified => "domain_not_verified",
        Claim::NotClaimed => "not_claimed",
    }
}

fn claim_of(name: &str) -> Result<Claim, WireError> {
    match name {
        "managed" => Ok(Claim::Managed),
        "domain_not_verified" => Ok(Claim::DomainNotVerified),
        "not_claimed" => Ok(Claim::NotClaimed),
        other => Err(WireError::invalid("claim", format!("{other:?} is not a claim"))),
    }
}

impl From<&KnownAccount> for v1::Account {
    fn from(account: &KnownAccount) -> Self {
        Self {
            account: account.account.to_string(),
            email: account.email.to_string(),
            name: account.name.clone(),
            claim: claim_name(&account.claim).into(),
            status: status_name(account.status).into(),
            synced_from: account.synced_from.clone().unwrap_or_default(),
            administrator: account.administrator,
            last_active: account.last_active.map(timestamp),
            mail_changed_at: account.mail_changed_at.map(timestamp),
            learned_at: Some(timestamp(account.learned_at)),
        }
    }
}

impl TryFrom<&v1::Account> for KnownAccount {
    type Error = WireError;
    fn try_from(wire: &v1::Account) -> Result<Self, WireError> {
        Ok(Self {
            account: parse("account", &wire.account)?,
            email: parse("email", &wire.email)?,
            name: wire.name.clone(),
            claim: claim_of(&wire.claim)?,
            status: status_of(&wire.status)?,
            synced_from: Some(wire.synced_from.clone()).filter(|name| !name.is_empty()),
            administrator: wire.administrator,
            last_active: moment_optional("last_active", wire.last_active)?,
            mail_changed_at: moment_optional("mail_changed_at", wire.mail_changed_at)?,
            learned_at: moment("learned_at", wire.learned_at)?,
        })
    }
}

impl From<&Candidate> for v1::Candidate {
    fn from(candidate: &Candidate) -> Self {
        Self {
            account: candidate.account.to_string(),
            email: candidate.email.to_string(),
            name: candidate.name.clone(),
            status: status_name(candidate.status).into(),
            last_active: candidate.last_active.map(timestamp),
            policy: candidate.policy.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl TryFrom<&v1::Candidate> for Candidate {
    type Error = WireError;
    fn try_from(wire: &v1::Candidate) -> Result<Self, WireError> {
        Ok(Self {
            account: parse("account", &wire.account)?,
            email: parse("email", &wire.email)?,
            name: wire.name.clone(),
            status: status_of(&wire.status)?,
            last_active: moment_optional("last_active", wire.last_active)?,
            policy: parse_optional("policy", &wire.policy)?,
        })
    }
}
