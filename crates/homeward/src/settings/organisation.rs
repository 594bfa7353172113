//! One organisation's settings, and how its provider is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::NaiveDate;
use homeward_chassis::config::Secret;
use homeward_provider::atlassian::{AtlassianSettings, EventActions};
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
        /// What their administrator called the keys, and when they end. Default: nothing is known.
        #[serde(default)]
        key_details: KeyDetails,
        /// A further certificate authority to trust (PEM). Default: those of this machine.
        #[serde(default)]
        ca_file: Option<PathBuf>,
        /// What the audit log's actions mean. Default: `user_login` and `twosv_disabled_for_user`.
        #[serde(default)]
        event_actions: EventActions,
    },
}

/// What is known of each key beside its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "they are called as the keys that they are about")]
pub struct KeyDetails {
    /// Of `api_key`.
    pub api_key: KeyDetail,
    /// Of `unscoped_key`.
    pub unscoped_key: KeyDetail,
    /// Of `patrol_key`.
    pub patrol_key: KeyDetail,
}

/// What is known of a key beside its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyDetail {
    /// What its administrator called it: with this the provider's list of keys tells when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The day on which it ends, as its page showed when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<NaiveDate>,
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
        let Self::Atlassian { api_key, unscoped_key, key_details, .. } = self;
        AtlassianSettings {
            unscoped_key: unscoped_key.as_ref().map(|key| SecretString::from(key.reveal())),
            unscoped_key_label: key_details.unscoped_key.label.clone(),
            unscoped_key_expires: key_details.unscoped_key.expires,
            ..self.with_key(api_key, &key_details.api_key, limits)
        }
    }

    /// How patrol reaches it: with its own key where there is one, and then with no other.
    pub fn for_patrol(&self, limits: &Limits) -> AtlassianSettings {
        let Self::Atlassian { patrol_key, key_details, .. } = self;
        match patrol_key {
            Some(key) => self.with_key(key, &key_details.patrol_key, limits),
            None => self.atlassian(limits),
        }
    }

    fn with_key(&self, key: &Secret, detail: &KeyDetail, limits: &Limits) -> AtlassianSettings {
        let Self::Atlassian { base_url, admin_page_url, org_id, directory_id, ca_file, event_actions, .. } = self;
        AtlassianSettings {
            base_url: base_url.clone(),
            directory_id: directory_id.clone(),
            api_key_label: detail.label.clone(),
            api_key_expires: detail.expires,
            ca_file: ca_file.clone(),
            event_actions: event_actions.clone(),
            admin_page_url: admin_page_url.clone(),
            timeout: limits.client_timeout,
            move_batch: limits.batch,
            placement_batch: limits.batch,
            ..AtlassianSettings::new(org_id.clone(), SecretString::from(key.reveal()))
        }
    }
}
