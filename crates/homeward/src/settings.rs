//! What an administrator sets: one file, `homeward.toml`, and `HOMEWARD__…` in the environment.

mod organisation;
mod production;
mod services;
mod storage;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use homeward_chassis::auth::PersonConfig;
use homeward_chassis::config::{self, Mode, Overrides};
use homeward_chassis::rpc::Listen;
use homeward_chassis::telemetry::TelemetryConfig;
use homeward_types::{Organisation, OrganisationId};
use serde::{Deserialize, Serialize};
use url::Url;

pub use organisation::{KeyDetail, KeyDetails, OrganisationSettings, ProviderSettings};
pub use services::{Grants, Services};
pub use storage::Storage;

use crate::cli::{ConfigCommand, ConfigOf};
use crate::compose::Role;
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
    /// Where the other services are, where each is a process of its own.
    pub services: Services,
    /// The key by which recovery permits a lease.
    pub grants: Grants,
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
    /// With `serve`: `/livez`, `/readyz` and `/metrics`, without TLS, for whoever probes and scrapes. Default `127.0.0.1:7081`.
    pub probes: SocketAddr,
}

impl Default for Doors {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { grpc: Listen { address: loopback(7443), tls: None }, console: loopback(7080), probes: loopback(7081) }
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
            services: Services::default(),
            grants: Grants::default(),
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
            let settings = Settings::load_of(args)?;
            let organisations = settings.organisations()?;
            match args.role {
                None => settings.check()?,
                Some(role) => settings.check_for(role)?,
            }
            println!(
                "{} is fine: {} organisation(s), {} person(s)",
                args.settings.config.display(),
                organisations.len(),
                settings.persons.len()
            );
        }
        ConfigCommand::Print(args) => {
            let settings = Settings::load_of(args)?;
            print!("{}", toml::to_string_pretty(&settings).map_err(anyhow::Error::from)?);
        }
    }
    Ok(())
}

impl Settings {
    /// Reads `file` and the environment.
    ///
    /// # Errors
    /// What is wrong, with file, key and reason.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        Self::load_with(file, &Overrides::from_environment())
    }

    /// As [`Self::load`], without the secrets that a process of `role` must not have; their files need not be there.
    ///
    /// # Errors
    /// What is wrong, with file, key and reason.
    pub fn load_for(role: Role, file: &Path) -> Result<Self, Failure> {
        Self::load_with(file, &Overrides::from_environment().withholding(role.withheld()))
    }

    fn load_of(args: &ConfigOf) -> Result<Self, Failure> {
        match args.role {
            None => Self::load(&args.settings.config),
            Some(role) => Self::load_for(role, &args.settings.config),
        }
    }

    fn load_with(file: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        if !file.exists() {
            return Err(Failure::Configuration(format!(
                "{} is not there; `homeward config example > homeward.toml` makes one to begin with",
                file.display()
            )));
        }
        config::load(Some(file), overrides).map_err(|error| Failure::Configuration(error.to_string()))
    }

    /// Refuses what would be insecure in production, of a process that has every role.
    ///
    /// # Errors
    /// Which setting, and why.
    pub fn check(&self) -> Result<(), Failure> {
        production::check(self, None)
    }

    /// Refuses what would be insecure in production, or what cannot work, of a process that has one role.
    ///
    /// # Errors
    /// Which setting, and why.
    pub fn check_for(&self, role: Role) -> Result<(), Failure> {
        production::check(self, Some(role))?;
        self.services.identity()?;
        if role != Role::Console && self.storage.broker.is_none() {
            return Err(Failure::Configuration(
                "storage.broker is missing: the in-process broker reaches no other process; name a RabbitMQ, or use `homeward up`".into(),
            ));
        }
        Ok(())
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
