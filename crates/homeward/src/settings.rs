//! What an administrator sets: one file, `homeward.toml`, and `HOMEWARD__…` in the environment.

mod organisation;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use homeward_chassis::auth::PersonConfig;
use homeward_chassis::config::{self, Mode, Overrides, Secret};
use homeward_chassis::rpc::Listen;
use homeward_chassis::telemetry::TelemetryConfig;
use homeward_types::{Organisation, OrganisationId};
use serde::{Deserialize, Serialize};
use url::Url;

pub use organisation::{OrganisationSettings, ProviderSettings};

use crate::cli::ConfigCommand;
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
    pub listen: Doors,
    /// Which database and broker. Default: SQLite files below `data_dir`, and the in-process broker.
    pub storage: Storage,
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
pub struct Doors {
    /// gRPC, for the command line and programs: `address`, and `tls` beyond loopback. Default `127.0.0.1:7443`.
    pub grpc: Listen,
    /// The console's pages and the repudiation links; beyond this machine put a TLS proxy before it. Default `127.0.0.1:7080`.
    pub console: SocketAddr,
}

/// Which database and broker. Same code, same tests: only these two choices differ.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// `postgres://user:password@host/database`; each service has a schema of its own. Default: SQLite files below `data_dir`.
    pub database: Option<Secret>,
    /// `amqps://user:password@host`. Default: the in-process broker.
    pub broker: Option<Secret>,
}

impl Default for Doors {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { grpc: Listen { address: loopback(7443), tls: None }, console: loopback(7080) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            data_dir: PathBuf::from("homeward-data"),
            #[expect(clippy::expect_used, reason = "a constant address that parses")]
            public_url: Url::parse("http://127.0.0.1:7080").expect("a constant address parses"),
            listen: Doors::default(),
            storage: Storage::default(),
            telemetry: TelemetryConfig::default(),
            notification: homeward_notification::Config::default(),
            organisations: Vec::new(),
            persons: Vec::new(),
        }
    }
}

/// Runs `homeward config …`.
pub fn command(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Example => print!("{EXAMPLE}"),
        ConfigCommand::Check(args) => {
            let settings = Settings::load(&args.config)?;
            let organisations = settings.organisations()?;
            settings.check()?;
            println!(
                "{} is fine: {} organisation(s), {} person(s)",
                args.config.display(),
                organisations.len(),
                settings.persons.len()
            );
        }
        ConfigCommand::Print(args) => {
            let settings = Settings::load(&args.config)?;
            print!("{}", toml::to_string_pretty(&settings).map_err(anyhow::Error::from)?);
        }
    }
    Ok(())
}

impl Settings {
    /// Reads `file`, if it is there or was asked for, and the environment.
    ///
    /// # Errors
    /// What is wrong, with file, key and reason.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        if !file.exists() {
            return Err(Failure::Configuration(format!(
                "{} is not there; `homeward config example > homeward.toml` makes one to begin with",
                file.display()
            )));
        }
        config::load(Some(file), &Overrides::from_environment()).map_err(|error| Failure::Configuration(error.to_string()))
    }

    /// Refuses what would be insecure in production.
    ///
    /// # Errors
    /// Which setting, and why.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |error: config::ConfigError| Failure::Configuration(error.to_string());
        self.listen.grpc.check(self.mode, "listen.grpc").map_err(refuse)?;
        Listen { address: self.listen.console, tls: None }.check(self.mode, "listen.console").map_err(refuse)
    }

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
