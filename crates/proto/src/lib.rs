//! The wire contract as generated types, and the conversions of the words that every service shares.
//!
//! Services meet only here. A service's own conversions live in its `wire.rs`.

mod generated;
pub mod wire;

pub use generated::{directory, notification, patrol, policy, recovery, words};

/// Everything in one descriptor set, for gRPC reflection.
pub const FDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/homeward.fds"));
