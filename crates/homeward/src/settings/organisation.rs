//! One organisation's settings, and how its provider is reached.

use std::collections::{BTreeMap, BTreeSet};

use homeward_chassis::config::Secret;
use homeward_provider::atlassian::AtlassianSettings;
use homeward_types::{Limits, Organisation, OrganisationId, Policy, PolicyId, Tiers};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

/// A tenant at an identity provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationSettings {
    /// Our short name for it.
    pub id: OrganisationId,
    /// How its provider is reached.
    pub provider: ProviderSettings,
    /// All policies by the provider's id, each with `name` and `two_step` (`mandatory`, `optional`, `delegated`).
    pub policies: BTreeMap<PolicyId, Policy>,
    /// The one optional policy that accounts are lent to.
    pub recovery_policy: PolicyId,
    /// The mandatory policies that an account may be lent from.
    pub home_policies: BTreeSet<PolicyId>,
    /// Where an account goes when its home is gone; one of `home_policies`.
    pub default_home: PolicyId,
    /// Where users sign in; invitations link there. Default `https://id.atlassian.com/login`.
    #[serde(default = "sign_in_url")]
    pub sign_in_url: Url,
    /// Proof and approvals by tier.
    #[serde(default)]
    pub tiers: Tiers,
    /// Times, caps and lags.
    #[serde(default)]
    pub limits: Limits,
}

fn sign_in_url() -> Url {
    #[expect(clippy::expect_used, reason = "a constant address that parses")]
    Url::parse("https://id.atlassian.com/login").expect("a constant address parses")
}

/// How an identity provider is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProviderSettings {
    /// Atlassian Cloud's admin APIs.
    Atlassian {
        /// The API's base address. Default `https://api.atlassian.com`.
        #[serde(default = "atlassian_api")]
        base_url: Url,
        /// The page on which a person resets a factor; `{org_id}` and `{account_id}` are filled in. Default `https://admin.atlassian.com/`.
        #[serde(default = "admin_page")]
        admin_page_url: String,
        /// The organisation's id at Atlassian.
        org_id: String,
        /// The directory to look in. Default `-`: all that the key may manage.
        #[serde(default = "every_directory")]
        directory_id: String,
        /// The admin API key.
        api_key: Secret,
        /// A key without scopes, for the calls that refuse scoped keys. Default: `api_key` is used for them too.
        #[serde(default)]
        unscoped_key: Option<Secret>,
        /// The key that patrol reads with, the least that the provider offers. Default: `api_key`.
        #[serde(default)]
        patrol_key: Option<Secret>,
    },
}

fn atlassian_api() -> Url {
    #[expect(clippy::expect_used, reason = "a constant address that parses")]
    Url::parse("https://api.atlassian.com").expect("a constant address parses")
}

fn admin_page() -> String {
    "https://admin.atlassian.com/".into()
}

fn every_directory() -> String {
    "-".into()
}

impl OrganisationSettings {
    /// The part that every role shares.
    pub fn organisation(&self) -> Organisation {
        Organisation {
            id: self.id.clone(),
            policies: self.policies.clone(),
            recovery_policy: self.recovery_policy.clone(),
            home_policies: self.home_policies.clone(),
            default_home: self.default_home.clone(),
            tiers: self.tiers.clone(),
            limits: self.limits.clone(),
        }
    }
}

impl ProviderSettings {
    /// How the adapter is to reach the provider for reading and moving.
    pub fn atlassian(&self, limits: &Limits) -> AtlassianSettings {
        let Self::Atlassian { api_key, .. } = self;
        self.with_key(api_key, limits)
    }

    /// How patrol reaches it: with its own key where there is one.
    pub fn for_patrol(&self, limits: &Limits) -> AtlassianSettings {
        let Self::Atlassian { api_key, patrol_key, .. } = self;
        self.with_key(patrol_key.as_ref().unwrap_or(api_key), limits)
    }

    fn with_key(&self, key: &Secret, limits: &Limits) -> AtlassianSettings {
        let Self::Atlassian { base_url, admin_page_url, org_id, directory_id, unscoped_key, .. } = self;
        let secret = |key: &Secret| SecretString::from(key.reveal());
        AtlassianSettings {
            base_url: base_url.clone(),
            directory_id: directory_id.clone(),
            unscoped_key: unscoped_key.as_ref().map(secret),
            admin_page_url: admin_page_url.clone(),
            timeout: limits.client_timeout,
            move_batch: limits.batch,
            placement_batch: limits.batch,
            ..AtlassianSettings::new(org_id.clone(), secret(key))
        }
    }
}
