//! Messages on both brokers and both databases. Needs the servers of `./test`.

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
