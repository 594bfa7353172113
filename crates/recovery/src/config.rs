//! Recovery's settings.

use std::collections::BTreeMap;
use std::time::Duration;

use homeward_types::{OrganisationId, PersonId};
use serde::{Deserialize, Serialize};

/// Recovery's settings. Limits, tiers and policies are the organisation's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where people reach the page, for the links "this was not me" in mails. Default `http://127.0.0.1:8080`.
    pub public_url: String,
    /// Where users sign in, for invitations. Default `https://id.atlassian.com/login`.
    pub sign_in_url: String,
    /// The same by organisation, where one differs. Default: none does.
    pub sign_in_urls: BTreeMap<OrganisationId, String>,
    /// Where a person looks at a trace, with `{trace_id}` in place of its id. Default: nowhere.
    pub trace_link: Option<String>,
    /// Who is told of requests that need approval, at most five of them. Default: everyone with the role approver.
    pub approvers: Vec<PersonId>,
    /// How often cases are compared with policy's leases. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub repair: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".into(),
            sign_in_url: "https://id.atlassian.com/login".into(),
            sign_in_urls: BTreeMap::new(),
            trace_link: None,
            approvers: Vec::new(),
            repair: Duration::from_mins(1),
        }
    }
}

impl Config {
    /// The first sentence about what cannot work, if any.
    ///
    /// # Errors
    /// A sentence that names the setting, what it is and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let own = self.sign_in_urls.values().map(|url| ("sign_in_urls", url));
        for (setting, url) in [("public_url", &self.public_url), ("sign_in_url", &self.sign_in_url)].into_iter().chain(own) {
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return Err(format!("{setting} ({url}) must begin with https:// (or http:// on one machine)"));
            }
        }
        if self.repair < Duration::from_millis(100) {
            return Err(format!("repair ({:?}) must be at least 100ms", self.repair));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_possible_and_a_wrong_address_is_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let config = Config { public_url: "homeward.example".into(), ..Config::default() };
        assert!(config.check().is_err_and(|problem| problem.starts_with("public_url (homeward.example)")));
    }
}
