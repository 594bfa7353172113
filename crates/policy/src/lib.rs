//! Policy: owns leases, and alone moves accounts.
//!
//! Under construction.

pub mod lease;
