//! The roles that a process can have.

use std::fmt;

use clap::ValueEnum;
use homeward_directory::Directory;
use homeward_notification::Notification;
use homeward_patrol::Patrol;
use homeward_policy::Policy;
use homeward_recovery::Recovery;
use homeward_store::Migrations;

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Role {
    /// The copy of the accounts, and evidence of enrolment.
    Directory,
    /// Leases; alone moves accounts.
    Policy,
    /// Cases, approvals and sagas.
    Recovery,
    /// Tells people.
    Notification,
    /// Reads back every lease with its own key.
    Patrol,
    /// The edge for people: pages, and gRPC that it passes on.
    Console,
}

impl Role {
    /// All that have tables of their own: all but the console.
    pub const WITH_TABLES: [Self; 5] = [Self::Directory, Self::Policy, Self::Recovery, Self::Notification, Self::Patrol];

    /// Its name: of its schema, in its certificate, on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Policy => "policy",
            Self::Recovery => "recovery",
            Self::Notification => "notification",
            Self::Patrol => "patrol",
            Self::Console => "console",
        }
    }

    /// What traces and the broker's list of connections call it.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::Directory => "homeward-directory",
            Self::Policy => "homeward-policy",
            Self::Recovery => "homeward-recovery",
            Self::Notification => "homeward-notification",
            Self::Patrol => "homeward-patrol",
            Self::Console => "homeward-console",
        }
    }

    /// Its tables.
    pub fn migrations(self) -> Vec<Migrations> {
        match self {
            Self::Directory => Directory::migrations(),
            Self::Policy => Policy::migrations(),
            Self::Recovery => Recovery::migrations(),
            Self::Notification => Notification::migrations(),
            Self::Patrol => Patrol::migrations(),
            Self::Console => Vec::new(),
        }
    }

    /// The secrets of the settings that it must not have.
    pub fn withheld(self) -> &'static [&'static str] {
        const PROVIDER: [&str; 3] =
            ["organisations.*.provider.api_key", "organisations.*.provider.unscoped_key", "organisations.*.provider.patrol_key"];
        const SIGNING: &str = "grants.signing_key";
        const MAIL: &str = "notification.smtp.password";
        match self {
            Self::Directory | Self::Policy => &[PROVIDER[2], SIGNING, MAIL],
            Self::Patrol => &[PROVIDER[1], SIGNING, MAIL],
            Self::Recovery => &[PROVIDER[0], PROVIDER[1], PROVIDER[2], MAIL],
            Self::Notification => &[PROVIDER[0], PROVIDER[1], PROVIDER[2], SIGNING],
            Self::Console => &[PROVIDER[0], PROVIDER[1], PROVIDER[2], SIGNING, MAIL, "storage.database", "storage.broker"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
