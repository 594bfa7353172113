//! Every call that the simulated provider answers, with what a key needs for it and the shape of its errors.

use axum::http::Method;

/// Which of the provider's APIs a call belongs to: each has its own error shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Organizations API.
    Organisations,
    /// Control API.
    Control,
    /// API access API.
    Access,
    /// User management API.
    Users,
}

/// What a key needs for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This scope, or a key without scopes.
    Listed(&'static str),
    /// No scope is listed: see [`crate::config::UnlistedScope`].
    Unlisted,
    /// A key without scopes: keys with scopes are refused, whatever they hold.
    Unscoped,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// `METHOD /path/{parameter}`.
    pub call: &'static str,
    /// The API that it belongs to.
    pub family: Family,
    /// What a key needs.
    pub scope: Scope,
}

/// What calls to any other path are counted as.
pub const UNKNOWN: &str = "unknown";

macro_rules! endpoints {
    ($($call:literal $family:ident $scope:expr;)*) => {
        /// All calls.
        pub const ENDPOINTS: &[Endpoint] = &[$(Endpoint { call: $call, family: Family::$family, scope: $scope }),*];
    };
}

use Scope::{Listed, Unlisted, Unscoped};

endpoints! {
    "GET /admin/v1/orgs" Organisations Unlisted;
    "GET /admin/v1/orgs/{org}" Organisations Listed("read:orgs:admin");
    "GET /admin/v1/orgs/{org}/domains" Organisations Listed("read:domains:admin");
    "GET /admin/v1/orgs/{org}/domains/{domain}" Organisations Listed("read:domains:admin");
    "GET /admin/v1/orgs/{org}/users" Organisations Listed("read:accounts:admin");
    "GET /admin/v1/orgs/{org}/events" Organisations Listed("read:events:admin");
    "GET /admin/v1/orgs/{org}/events-stream" Organisations Listed("read:events:admin");
    "GET /admin/v1/orgs/{org}/event-actions" Organisations Listed("read:events:admin");
    "GET /admin/v1/orgs/{org}/directory/users/{account}/last-active-dates" Organisations Unlisted;
    "GET /admin/v2/orgs/{org}/directories" Organisations Listed("read:directories:admin");
    "POST /admin/v2/orgs/{org}/directories/{directory}/users/search" Organisations Unlisted;
    "GET /admin/v2/orgs/{org}/directories/{directory}/users/{account}" Organisations Unlisted;
    "POST /admin/control/v1/orgs/{org}/auth-policy/{policy}/add-users" Control Listed("write:policies:admin");
    "GET /admin/control/v1/orgs/{org}/auth-policy/task/{task}" Control Listed("write:policies:admin");
    "POST /admin/control/v1/orgs/{org}/users/auth-policies/bulk-fetch" Control Unlisted;
    "GET /admin/api-access/v1/orgs/{org}/api-keys" Access Listed("read:keys:admin");
    "GET /users/{account}/manage" Users Unscoped;
    "GET /users/{account}/manage/profile" Users Unscoped;
    "GET /users/{account}/manage/api-tokens" Users Unscoped;
    "DELETE /users/{account}/manage/api-tokens/{token}" Users Unscoped;
    "POST /users/{account}/manage/lifecycle/disable" Users Unscoped;
    "POST /users/{account}/manage/lifecycle/enable" Users Unscoped;
}

/// The call of this method and path template.
pub(crate) fn find(method: &Method, template: &str) -> Option<&'static Endpoint> {
    let is = |endpoint: &&Endpoint| endpoint.call.split_once(' ').is_some_and(|(m, path)| method == m && path == template);
    ENDPOINTS.iter().find(is)
}
