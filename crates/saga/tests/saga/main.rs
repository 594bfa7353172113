//! The saga engine: its decisions, its proofs, and its coordinator on both databases.

mod demo;
mod explore;
mod rehearsal;
mod table;
