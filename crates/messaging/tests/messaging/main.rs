//! Messages on both brokers and both databases. Needs the servers of `./test`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod broker;
mod conformance;
mod consuming;
mod embedded;
mod killed;
mod model;
mod outbox;
mod rabbit;
mod scripted;
mod sending;
mod tracing_spans;
