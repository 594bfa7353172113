//! The organisation's API keys: with scopes or without, and each with an end.

use serde::{Deserialize, Serialize};

use crate::timeline::Moment;
use crate::well_known::key;

/// One API key, made by an organisation administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What the administrator called it; control calls name it by this.
    pub label: String,
    /// The secret that callers send.
    pub value: String,
    /// The scopes that it was made with; `None` for a key without scopes, which may call everything.
    pub scopes: Option<Vec<String>>,
    /// Seconds that it lives from the simulator's start. Default a year, the longest that there is.
    pub life_seconds: u64,
}

/// The longest life of a key: a year.
const YEAR_SECONDS: u64 = 365 * 24 * 60 * 60;

impl ApiKey {
    /// A key without scopes that lives for a year.
    pub fn unscoped(label: &str, value: &str) -> Self {
        Self { label: label.into(), value: value.into(), scopes: None, life_seconds: YEAR_SECONDS }
    }

    /// A key with scopes that lives for a year.
    pub fn scoped(label: &str, value: &str, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self { scopes: Some(scopes), ..Self::unscoped(label, value) }
    }

    /// The keys of [`crate::well_known::key`], labelled `unscoped`, `scoped` and `reader`.
    pub fn well_known() -> Vec<Self> {
        const READS: [&str; 6] = [
            "read:orgs:admin",
            "read:accounts:admin",
            "read:domains:admin",
            "read:directories:admin",
            "read:events:admin",
            "read:keys:admin",
        ];
        let mut writes = READS.to_vec();
        writes.push("write:policies:admin");
        vec![
            Self::unscoped("unscoped", key::UNSCOPED),
            Self::scoped("scoped", key::SCOPED, &writes),
            Self::scoped("reader", key::READER, &READS),
        ]
    }
}

/// A key as the running organisation knows it.
#[derive(Debug, Clone)]
pub(crate) struct KeyRecord {
    pub(crate) key: ApiKey,
    pub(crate) id: String,
    pub(crate) made: Moment,
    pub(crate) expires: Moment,
    pub(crate) revoked: bool,
}

impl KeyRecord {
    /// Whether the provider accepts it at `now`.
    pub(crate) const fn works(&self, now: Moment) -> bool {
        !self.revoked && now < self.expires
    }

    /// Whether it may make a call that needs `scope`.
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.key.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|held| held == scope))
    }
}
