//! The settings of the Atlassian adapter.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use homeward_types::AccountId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

/// How to reach one Atlassian organisation. Durations are written like `30s`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtlassianSettings {
    /// The address of the admin APIs. Default `https://api.atlassian.com`. The keys are sent to no other host.
    #[serde(default = "base_url")]
    pub base_url: Url,
    /// The organisation's id, as in the address of its admin pages.
    pub org_id: String,
    /// The directory to search; `-` (the default) means all that the key may manage.
    #[serde(default = "directory_id")]
    pub directory_id: String,
    /// An organisation administrator's API key.
    pub api_key: SecretString,
    /// A key without scopes, for the calls that refuse keys with scopes. Needed only if `api_key` has scopes.
    #[serde(default)]
    pub unscoped_key: Option<SecretString>,
    /// What the administrator called `api_key`; with it the provider's own list of keys tells its end and its scopes.
    #[serde(default)]
    pub api_key_label: Option<String>,
    /// The day on which `api_key` ends, as its page showed when it was made.
    #[serde(default)]
    pub api_key_expires: Option<NaiveDate>,
    /// What the administrator called `unscoped_key`.
    #[serde(default)]
    pub unscoped_key_label: Option<String>,
    /// The day on which `unscoped_key` ends.
    #[serde(default)]
    pub unscoped_key_expires: Option<NaiveDate>,
    /// A further certificate authority to trust (PEM), besides those of this machine. Default none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The page on which a person resets a factor. `{org_id}` and `{account_id}` are filled in. Default
    /// `https://admin.atlassian.com/`.
    #[serde(default = "admin_page_url")]
    pub admin_page_url: String,
    /// How the adapter names itself to the provider. Default `homeward/<version>`.
    #[serde(default = "user_agent")]
    pub user_agent: String,
    /// Total time for one call, answer included. Default 30 s.
    #[serde(default = "timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// Time to connect, part of `timeout`. Default 5 s.
    #[serde(default = "connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The longest that a call waits for its turn under the rate limit before it is given back. Default 10 s.
    #[serde(default = "patience", with = "humantime_serde")]
    pub patience: Duration,
    /// Accounts in one move. Default 100; smaller limits of the provider are learned.
    #[serde(default = "batch")]
    pub move_batch: usize,
    /// Accounts in one placement read. Default 100; smaller limits of the provider are learned.
    #[serde(default = "batch")]
    pub placement_batch: usize,
    /// The largest answer that is read, in bytes. Default 8 MiB.
    #[serde(default = "max_answer_bytes")]
    pub max_answer_bytes: usize,
    /// What the audit log's actions mean. The ids are not published; `event-actions` lists them.
    #[serde(default)]
    pub event_actions: EventActions,
}

/// Ids of audit-log actions, by what they mean to the procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventActions {
    /// An account signed in. Default `user_login`.
    pub signed_in: BTreeSet<String>,
    /// A factor was taken away. Default `twosv_disabled_for_user`.
    pub factor_removed: BTreeSet<String>,
    /// A factor was set up. Default none: no id is known.
    pub factor_enrolled: BTreeSet<String>,
    /// An account was put into another policy. Default none: no id is known.
    pub policy_changed: BTreeSet<String>,
}

impl EventActions {
    /// Every id, with the setting that names it.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("signed_in", &self.signed_in),
            ("factor_removed", &self.factor_removed),
            ("factor_enrolled", &self.factor_enrolled),
            ("policy_changed", &self.policy_changed),
        ]
        .into_iter()
        .flat_map(|(setting, ids)| ids.iter().map(move |id| (setting, id.as_str())))
    }
}

impl Default for EventActions {
    fn default() -> Self {
        Self {
            signed_in: BTreeSet::from(["user_login".to_owned()]),
            factor_removed: BTreeSet::from(["twosv_disabled_for_user".to_owned()]),
            factor_enrolled: BTreeSet::new(),
            policy_changed: BTreeSet::new(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An empty or impossible value.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting at fault.
        setting: &'static str,
        /// What is wrong, and what it must be.
        reason: String,
    },
    /// The machine's side failed: certificates, TLS.
    #[error("preparing HTTPS: {0}; are the system's CA certificates installed?")]
    Tls(String),
}

fn base_url() -> Url {
    Url::parse("https://api.atlassian.com").expect("a constant address is well formed")
}
fn directory_id() -> String {
    "-".into()
}
fn admin_page_url() -> String {
    "https://admin.atlassian.com/".into()
}
fn user_agent() -> String {
    concat!("homeward/", env!("CARGO_PKG_VERSION")).into()
}
const fn timeout() -> Duration {
    Duration::from_secs(30)
}
const fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}
const fn patience() -> Duration {
    Duration::from_secs(10)
}
const fn batch() -> usize {
    100
}
const fn max_answer_bytes() -> usize {
    8 * 1024 * 1024
}

impl AtlassianSettings {
    /// Settings for one organisation, everything else as by default.
    pub fn new(org_id: impl Into<String>, api_key: SecretString) -> Self {
        Self {
            base_url: base_url(),
            org_id: org_id.into(),
            directory_id: directory_id(),
            api_key,
            unscoped_key: None,
            api_key_label: None,
            api_key_expires: None,
            unscoped_key_label: None,
            unscoped_key_expires: None,
            ca_file: None,
            admin_page_url: admin_page_url(),
            user_agent: user_agent(),
            timeout: timeout(),
            connect_timeout: connect_timeout(),
            patience: patience(),
            move_batch: batch(),
            placement_batch: batch(),
            max_answer_bytes: max_answer_bytes(),
            event_actions: EventActions::default(),
        }
    }

    /// Checks what can be checked without a call.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |setting, reason: &str| Err(SettingsError::Setting { setting, reason: reason.into() });
        let url = &self.base_url;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return wrong("base_url", "must be an https address (http only for a simulator)");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return wrong("base_url", "must hold neither a user name nor a query");
        }
        for (setting, text) in [("org_id", &self.org_id), ("directory_id", &self.directory_id)] {
            if text.is_empty() || text.len() > 128 || matches!(text.as_str(), "." | "..") {
                return wrong(setting, "must be the id that the admin pages show");
            }
        }
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return wrong("timeout", "and connect_timeout must be longer than nothing");
        }
        if self.move_batch == 0 || self.placement_batch == 0 {
            return wrong("move_batch", "and placement_batch must be at least 1");
        }
        if self.max_answer_bytes < 64 * 1024 {
            return wrong("max_answer_bytes", "must be at least 65536; a page of accounts is larger than less");
        }
        match self.page(None) {
            Ok(_) => Ok(()),
            Err(reason) => Err(SettingsError::Setting { setting: "admin_page_url", reason }),
        }
    }

    /// The page on which a person resets the factor of `account`.
    pub(super) fn page(&self, account: Option<&AccountId>) -> Result<Url, String> {
        let account = account.map_or("", AccountId::as_str);
        let encoded: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let text = self.admin_page_url.replace("{org_id}", &self.org_id).replace("{account_id}", &encoded);
        let page =
            Url::parse(&text).map_err(|error| format!("{error}; expected an address like https://admin.atlassian.com/"))?;
        match page.scheme() {
            "https" | "http" => Ok(page),
            other => Err(format!("{other} pages cannot be opened by people; expected https")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AtlassianSettings {
        AtlassianSettings::new("org-1", SecretString::from("key"))
    }

    #[test]
    fn the_defaults_can_be_used_and_are_those_of_an_empty_file() {
        assert_eq!(settings().check(), Ok(()));
        let read: AtlassianSettings = serde_json::from_str(r#"{"org_id": "org-1", "api_key": "key"}"#).expect("complete");
        assert_eq!(format!("{read:?}"), format!("{:?}", settings()));
    }

    #[test]
    fn an_unknown_setting_is_refused_and_a_key_is_never_shown() {
        let read = serde_json::from_str::<AtlassianSettings>(r#"{"org_id": "o", "api_key": "k", "apikey": "k"}"#);
        assert!(read.unwrap_err().to_string().contains("apikey"));
        assert!(!format!("{:?}", AtlassianSettings::new("o", SecretString::from("sesame"))).contains("sesame"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        type Spoil = fn(&mut AtlassianSettings);
        let cases: [(&str, Spoil); 6] = [
            ("base_url", |s| s.base_url = Url::parse("ftp://x/").expect("an address")),
            ("base_url", |s| s.base_url = Url::parse("https://user@x/").expect("an address")),
            ("org_id", |s| s.org_id = "..".into()),
            ("timeout", |s| s.timeout = Duration::ZERO),
            ("move_batch", |s| s.move_batch = 0),
            ("admin_page_url", |s| s.admin_page_url = "javascript:alert(1)".into()),
        ];
        for (named, spoil) in cases {
            let mut settings = settings();
            spoil(&mut settings);
            match settings.check() {
                Err(SettingsError::Setting { setting, .. }) => assert_eq!(setting, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_page_to_open_names_the_account() {
        let mut settings = settings();
        settings.admin_page_url = "http://127.0.0.1:1/{org_id}/{account_id}".into();
        let account: AccountId = "557058:a|b".parse().expect("an account id");
        assert_eq!(settings.page(Some(&account)).expect("a page").as_str(), "http://127.0.0.1:1/org-1/557058%3Aa%7Cb");
    }
}
