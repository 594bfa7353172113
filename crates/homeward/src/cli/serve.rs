//! What `serve`, `migrate` and `keys` are told.

use clap::{Args, Subcommand, ValueEnum};

use super::Settings;
use crate::compose::Role;

/// Which service a process is.
#[derive(Debug, Args)]
pub struct Serve {
    /// Which service.
    #[arg(value_enum)]
    pub role: Role,
    /// The configuration.
    #[command(flatten)]
    pub settings: Settings,
}

/// What to bring up to date.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Services whose tables, or the broker whose queues; all when nothing is named.
    #[arg(value_enum)]
    pub what: Vec<MigrateWhat>,
    /// The configuration.
    #[command(flatten)]
    pub settings: Settings,
}

/// What can be brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MigrateWhat {
    /// Everything: all tables, and the broker's queues if a broker is configured.
    All,
    /// Directory's tables.
    Directory,
    /// Policy's tables.
    Policy,
    /// Recovery's tables.
    Recovery,
    /// Notification's tables.
    Notification,
    /// Patrol's tables.
    Patrol,
    /// The broker's exchanges and queues.
    Broker,
}

impl MigrateWhat {
    /// The tables of this role; the console has none.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Directory => Self::Directory,
            Role::Policy => Self::Policy,
            Role::Recovery => Self::Recovery,
            Role::Notification => Self::Notification,
            Role::Patrol => Self::Patrol,
            Role::Console => Self::All,
        }
    }
}

/// What can be asked about keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print the public half of the key with which recovery permits leases; policy must be told it.
    Grant(Settings),
}
