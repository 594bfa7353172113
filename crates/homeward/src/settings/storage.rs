//! Which database and broker: the two choices in which embedded and distributed differ.

use std::path::PathBuf;

use homeward_chassis::config::Secret;
use serde::{Deserialize, Serialize};

/// Which database and broker. Same code, same tests: only these two choices differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// `postgres://user:password@host/database`, beyond this machine with `?sslmode=verify-full&sslrootcert=FILE`; each service
    /// has a schema of its own. Default: SQLite files below `data_dir`.
    pub database: Option<Secret>,
    /// `amqps://user:password@host/vhost`. Default: the in-process broker, which `serve` cannot use.
    pub broker: Option<Secret>,
    /// Whose certificate the broker may show besides those that the system believes, PEM. Default: nobody's.
    pub broker_ca_file: Option<PathBuf>,
    /// Whether a service brings its own tables up to date when it starts; otherwise it waits until `homeward migrate` has.
    /// Default: it does.
    pub migrate: bool,
    /// Whether a service declares exchanges and queues; otherwise it waits until `homeward migrate` has. Default: it does.
    pub declare: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self { database: None, broker: None, broker_ca_file: None, migrate: true, declare: true }
    }
}
