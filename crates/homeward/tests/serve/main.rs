//! `homeward serve`: each role as the real process, on PostgreSQL and RabbitMQ, with certificates. Who may call what, what
//! readiness says while something is away, how a process stops under load, and what production refuses.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod authority;
mod callers;
mod production;
mod readiness;
mod rotation;
mod site;
mod stopping;
mod wire;
