//! Every path that the adapter can call, with its source. A test fails on any other.
//!
//! Sources are sections of the fact sheet on the admin APIs (Control, Organizations and User management specifications).
//! For each write, `refusals` lists the statuses that prove "not taken"; everything else (a time-out, a cut connection, a
//! 5xx, a body that is not the provider's) leaves it unknown. A refused connection proves it for every call.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What may stand in one segment of a path as it is (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The statuses with which the gateway and the API refuse a request before doing anything.
const REFUSALS: &[u16] = &[400, 401, 403, 404, 429];

/// What a call can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// Something; these statuses prove that it did not.
    Write {
        /// The statuses.
        refusals: &'static [u16],
    },
}

/// What a call answers with 404 when the thing it names is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Only the organisation or directory can be missing: the settings are wrong.
    Organisation,
    /// The policy.
    Policy,
    /// The account, the task or the token.
    Account,
}

/// Which key a call is known to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A key with this scope.
    Scope(&'static str),
    /// No scope is published: a key with scopes may be refused, then the one without is tried.
    NoneListed,
    /// A key without scopes: keys with scopes are refused by this API.
    Unscoped,
}

/// One documented call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Method and path template, as in errors and spans.
    pub name: &'static str,
    /// What it can change.
    pub effect: Effect,
    /// What a 404 means.
    pub missing: Missing,
    /// The key it needs.
    pub key: Key,
    /// The published limit, in calls a minute.
    pub per_minute: Option<u32>,
    /// Where it is documented.
    pub source: &'static str,
}

const fn read(name: &'static str, missing: Missing, key: Key, source: &'static str) -> Endpoint {
    Endpoint { name, effect: Effect::Read, missing, key, per_minute: None, source }
}

const fn write(name: &'static str, missing: Missing, key: Key, source: &'static str) -> Endpoint {
    Endpoint { effect: Effect::Write { refusals: REFUSALS }, ..read(name, missing, key, source) }
}

/// Move accounts, named by e-mail, into a policy. Answers 202 with a task.
pub const ADD_USERS: Endpoint = write(
    "POST /admin/control/v1/orgs/{orgId}/auth-policy/{policyId}/add-users",
    Missing::Policy,
    Key::Scope("write:policies:admin"),
    "1.1 Control, authentication policies",
);
/// How far a move is.
pub const TASK: Endpoint = read(
    "GET /admin/control/v1/orgs/{orgId}/auth-policy/task/{taskId}",
    Missing::Account,
    Key::Scope("write:policies:admin"),
    "1.2 Control, task status",
);
/// Which policy accounts are in.
pub const BULK_FETCH: Endpoint = read(
    "POST /admin/control/v1/orgs/{orgId}/users/auth-policies/bulk-fetch",
    Missing::Account,
    Key::NoneListed,
    "1.3 Control, bulk read",
);
/// Managed accounts, page by page.
pub const MANAGED_ACCOUNTS: Endpoint = read(
    "GET /admin/v1/orgs/{orgId}/users",
    Missing::Organisation,
    Key::Scope("read:accounts:admin"),
    "2 Organizations, managed accounts",
);
/// Search the directory.
pub const USER_SEARCH: Endpoint = read(
    "POST /admin/v2/orgs/{orgId}/directories/{directoryId}/users/search",
    Missing::Organisation,
    Key::NoneListed,
    "2.1 Organizations, user search",
);
/// One account in the directory.
pub const USER_DETAILS: Endpoint = read(
    "GET /admin/v2/orgs/{orgId}/directories/{directoryId}/users/{userId}",
    Missing::Account,
    Key::NoneListed,
    "2 Organizations, user details",
);
/// The organisation's domains.
pub const DOMAINS: Endpoint = read(
    "GET /admin/v1/orgs/{orgId}/domains",
    Missing::Organisation,
    Key::Scope("read:domains:admin"),
    "2 Organizations, domains",
);
/// When an account was last active.
pub const LAST_ACTIVE: Endpoint = Endpoint {
    per_minute: Some(200),
    ..read(
        "GET /admin/v1/orgs/{orgId}/directory/users/{accountId}/last-active-dates",
        Missing::Account,
        Key::NoneListed,
        "2 Organizations, last-active dates",
    )
};
/// The audit log in the order of processing.
pub const EVENTS_STREAM: Endpoint = Endpoint {
    per_minute: Some(50),
    ..read(
        "GET /admin/v1/orgs/{orgId}/events-stream",
        Missing::Organisation,
        Key::Scope("read:events:admin"),
        "2.2 Organizations, audit log, poll",
    )
};
/// The names of the audit log's actions.
pub const EVENT_ACTIONS: Endpoint = read(
    "GET /admin/v1/orgs/{orgId}/event-actions",
    Missing::Organisation,
    Key::Scope("read:events:admin"),
    "2.2 Organizations, audit log, action names",
);
/// The organisation's own API keys, with their ends: how an expiry can be watched. (The same API's DELETE takes away the
/// tokens of everybody and is not here.)
pub const API_KEYS: Endpoint = read(
    "GET /admin/api-access/v1/orgs/{orgId}/api-keys",
    Missing::Organisation,
    Key::Scope("read:keys:admin"),
    "3 API access, API keys",
);
/// What the key may do with an account.
pub const MANAGE: Endpoint =
    read("GET /users/{account_id}/manage", Missing::Account, Key::Unscoped, "3 User management, permissions");
/// The account as its manager sees it.
pub const MANAGE_PROFILE: Endpoint =
    read("GET /users/{account_id}/manage/profile", Missing::Account, Key::Unscoped, "3 User management, profile");
/// Block an account's sign-in.
pub const DISABLE: Endpoint =
    write("POST /users/{account_id}/manage/lifecycle/disable", Missing::Account, Key::Unscoped, "3 User management, lifecycle");
/// Let it sign in again.
pub const ENABLE: Endpoint =
    write("POST /users/{account_id}/manage/lifecycle/enable", Missing::Account, Key::Unscoped, "3 User management, lifecycle");
/// The account's own tokens.
pub const TOKENS: Endpoint =
    read("GET /users/{account_id}/manage/api-tokens", Missing::Account, Key::Unscoped, "3 User management, API tokens");
/// Delete one of them.
pub const DELETE_TOKEN: Endpoint = write(
    "DELETE /users/{account_id}/manage/api-tokens/{tokenId}",
    Missing::Account,
    Key::Unscoped,
    "3 User management, API tokens",
);

/// All of them.
pub const ALL: [&Endpoint; 17] = [
    &ADD_USERS,
    &TASK,
    &BULK_FETCH,
    &MANAGED_ACCOUNTS,
    &USER_SEARCH,
    &USER_DETAILS,
    &DOMAINS,
    &LAST_ACTIVE,
    &EVENTS_STREAM,
    &EVENT_ACTIONS,
    &API_KEYS,
    &MANAGE,
    &MANAGE_PROFILE,
    &DISABLE,
    &ENABLE,
    &TOKENS,
    &DELETE_TOKEN,
];

impl Endpoint {
    /// The method.
    pub fn method(&self) -> &'static str {
        self.name.split_once(' ').map_or("GET", |(method, _)| method)
    }

    /// The path with its placeholders.
    pub fn template(&self) -> &'static str {
        self.name.split_once(' ').map_or("/", |(_, template)| template)
    }

    /// The address below `base`, with `value` giving what each placeholder stands for.
    ///
    /// # Errors
    /// The placeholder that has no value, or one that cannot stand in a path.
    pub(super) fn url<'v>(&self, base: &Url, value: impl Fn(&str) -> Option<&'v str>) -> Result<Url, String> {
        let mut path = base.path().trim_end_matches('/').to_owned();
        for segment in self.template().split('/').skip(1) {
            path.push('/');
            match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                None => path.push_str(segment),
                Some(name) => match value(name) {
                    // Dots alone would climb out of the path, encoded or not.
                    Some("" | "." | "..") | None => return Err(format!("{name} has no value that can stand in a path")),
                    Some(text) => path.extend(utf8_percent_encode(text, UNRESERVED)),
                },
            }
        }
        let mut url = base.clone();
        url.set_path(&path);
        Ok(url)
    }
}

#[cfg(test)]
#[path = "paths/tests.rs"]
mod tests;
