//! Policy as a whole: the real service on both databases, against the simulated provider over HTTP, with recovery played.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod faults;
mod keys;
mod lends;
mod refusals;
mod replicas;
mod restored;
mod returns;
mod safe_direction;
mod stage;
mod throughput;
