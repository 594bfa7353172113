//! What an administrator sets: one file, `homeward.toml`, and `HOMEWARD__…` in the environment.

mod organisation;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use homeward_chassis::auth::PersonConfig;
use homeward_chassis::config::Mode;
use homeward_chassis::telemetry::TelemetryConfig;
use homeward_types::{Organisation, OrganisationId};
use serde::{Deserialize, Serialize};
use url::Url;

pub use organisation::{OrganisationSettings, ProviderSettings};

use crate::exit::Failure;

/// A documented example, printed by `homeward config example`.
pub const EXAMPLE: &str = include_str!("settings/example.toml");

/// Everything that can be set. A key that is not here is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `development` or `production`; production refuses to start insecurely. Default `development`.
    pub mode: Mode,
    /// Where databases, keys, logs and the file outbox lie. Default `homeward-data`.
    pub data_dir: PathBuf,
    /// What links in mails begin with: the console as people reach it. Default `http://127.0.0.1:7080`.
    pub public_url: Url,
    /// Where Homeward listens.
    pub listen: Listen,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// How notices are sent.
    pub notification: homeward_notification::Config,
    /// The organisations.
    pub organisations: Vec<OrganisationSettings>,
    /// The people who ask, approve and operate.
    pub persons: Vec<PersonConfig>,
}

/// Where Homeward listens. Loopback unless told otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// gRPC, for the command line and programs. Default `127.0.0.1:7443`.
    pub grpc: SocketAddr,
    /// The console's pages and the repudiation links. Default `127.0.0.1:7080`.
    pub console: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { grpc: loopback(7443), console: loopback(7080) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            data_dir: PathBuf::from("homeward-data"),
            #[expect(clippy::expect_used, reason = "a constant address that parses")]
            public_url: Url::parse("http://127.0.0.1:7080").expect("a constant address parses"),
            listen: Listen::default(),
            telemetry: TelemetryConfig::default(),
            notification: homeward_notification::Config::default(),
            organisations: Vec::new(),
            persons: Vec::new(),
        }
    }
}

impl Settings {
    /// The organisations as every role shares them.
    ///
    /// # Errors
    /// What does not fit, with the organisation's name.
    pub fn organisations(&self) -> Result<BTreeMap<OrganisationId, Organisation>, Failure> {
        let mut all = BTreeMap::new();
        for settings in &self.organisations {
            let organisation = settings.organisation();
            organisation
                .check()
                .map_err(|error| Failure::Configuration(format!("organisations, {}: {error}", organisation.id)))?;
            if all.insert(organisation.id.clone(), organisation).is_some() {
                return Err(Failure::Configuration(format!("organisations: {} is there twice", settings.id)));
            }
        }
        if all.is_empty() {
            return Err(Failure::Configuration(
                "no organisation is configured; `homeward config example` prints a file to begin with".into(),
            ));
        }
        Ok(all)
    }
}
