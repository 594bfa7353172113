//! The saga engine: its decisions, its proofs, and its coordinator on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

mod coordinator;
mod crash;
mod demo;
mod explore;
mod library;
mod post;
mod rehearsal;
mod replicas;
mod store;
mod table;
mod timers;
mod trace;
