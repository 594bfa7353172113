//! What one entry of the account lists says.

use homeward_types::diagnosis::{AccountStatus, Claim};
use homeward_types::{AccountId, Email, Factor, Timestamp};
use serde_json::Value;

use crate::account::{AccountRecord, Origin};
use crate::atlassian::json::{list, moment, text};

/// A user of the directory.
#[derive(Debug)]
pub(in crate::atlassian) struct User {
    pub(in crate::atlassian) record: AccountRecord,
    /// The directory says that the organisation does not manage it; why, its domain tells.
    pub(in crate::atlassian) unmanaged: bool,
}

/// One entry of `GET /admin/v1/…/users`: everyone there is managed.
pub(in crate::atlassian) fn managed_account(entry: &Value, begun_at: Timestamp) -> Option<AccountRecord> {
    Some(AccountRecord {
        account: account_id(entry, "account_id")?,
        email: email(entry),
        name: text(entry, "name").unwrap_or_default().to_owned(),
        claim: Some(Claim::Managed),
        status: text(entry, "account_status").and_then(account_status),
        origin: Origin::Unknown,
        administrator: None,
        factor: Factor::Unknown,
        last_active: moment(entry, "last_active"),
        begun_at,
    })
}

/// One user of the directory (version 2).
pub(in crate::atlassian) fn user(entry: &Value, begun_at: Timestamp) -> Option<User> {
    let claim = text(entry, "claimStatus");
    let record = AccountRecord {
        account: account_id(entry, "accountId")?,
        email: email(entry),
        name: text(entry, "name").unwrap_or_default().to_owned(),
        claim: (claim == Some("managed")).then_some(Claim::Managed),
        status: user_status(entry),
        origin: origin(entry),
        administrator: administrator(entry),
        factor: match entry.get("mfaEnabled").and_then(Value::as_bool) {
            // Of accounts that are not managed the field says nothing (2.1).
            Some(_) | None if claim != Some("managed") => Factor::Unknown,
            Some(true) => Factor::Enrolled,
            Some(false) => Factor::Absent,
            None => Factor::Unknown,
        },
        last_active: moment(entry, "lastActive"),
        begun_at,
    };
    Some(User { record, unmanaged: claim == Some("unmanaged") })
}

fn account_id(entry: &Value, key: &str) -> Option<AccountId> {
    text(entry, key)?.parse().ok()
}

fn email(entry: &Value) -> Option<Email> {
    text(entry, "email")?.parse().ok()
}

fn account_status(word: &str) -> Option<AccountStatus> {
    match word {
        "active" => Some(AccountStatus::Active),
        "inactive" => Some(AccountStatus::Deactivated),
        "closed" => Some(AccountStatus::Deleted),
        _ => None,
    }
}

/// Of an active account, a suspended membership is the news.
fn user_status(entry: &Value) -> Option<AccountStatus> {
    match account_status(text(entry, "accountStatus")?)? {
        AccountStatus::Active if text(entry, "membershipStatus") == Some("suspended") => Some(AccountStatus::Suspended),
        status @ (AccountStatus::Active | AccountStatus::Suspended | AccountStatus::Deactivated | AccountStatus::Deleted) => {
            Some(status)
        }
    }
}

/// `invited`, `synced` or null; the field's absence says nothing.
fn origin(entry: &Value) -> Origin {
    match entry.get("managementSource") {
        Some(Value::String(source)) if source == "synced" => {
            Origin::SyncedFrom("the identity provider that is connected to Atlassian".into())
        }
        Some(Value::String(source)) if source == "invited" => Origin::Here,
        Some(Value::Null) => Origin::Here,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => Origin::Unknown,
    }
}

/// Whether any platform role is an administrator's. Roles come as texts or as objects that name them.
fn administrator(entry: &Value) -> Option<bool> {
    entry.get("platformRoles").and_then(Value::as_array)?;
    let administers = |role: &Value| match role {
        Value::String(name) => is_admin(name),
        Value::Object(fields) => fields.values().any(|field| field.as_str().is_some_and(is_admin)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    Some(list(entry, "platformRoles").iter().any(administers))
}

fn is_admin(name: &str) -> bool {
    name.to_ascii_lowercase().contains("admin")
}
