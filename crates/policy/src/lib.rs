//! Policy: owns leases, and alone moves accounts.
//!
//! Under construction.

pub mod lease;

use homeward_store::{Migrations, migrations};

/// The tables that the service owns, besides those of messaging and the audit log.
pub const TABLES: Migrations = migrations!("policy", ["0001_lease"]);

pub mod bells;
pub mod incident;
pub mod ledger;
pub mod meters;
pub mod opening_log;
pub mod organisation;
pub mod lend;
pub mod site;
pub mod care;
pub mod subscriber;
pub mod worker;
