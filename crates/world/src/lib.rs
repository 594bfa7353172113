//! The world around Homeward, for tests and measurements of the real processes.
//!
//! [`System`] is Homeward as shipped, started as a process, killed and started again; [`Simulated`] the organisation, in a
//! process of its own. A [`Cluster`] is Homeward as separate processes on real servers. A [`Crowd`] of people asks for recoveries, proves, approves, follows the letters and signs in, all
//! over public interfaces: gRPC, the file outbox, and the provider's pages.

pub mod cluster;
pub mod crowd;
pub mod desk;
pub mod letters;
pub mod people;
pub mod process;
pub mod settings;
pub mod simulated;
pub mod system;

pub use cluster::Cluster;
pub use crowd::Crowd;
pub use simulated::Simulated;
pub use system::System;
