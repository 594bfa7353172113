//! What every service stands on: configuration, telemetry, gRPC, callers, shutdown, and the crash boundary.
//!
//! - [`config`]: one file plus environment, checked; secrets; development or production mode.
//! - [`telemetry`]: logs, traces and metrics; the W3C trace context that travels with messages and rows.
//! - [`metrics`]: the instruments, by OTLP and on a Prometheus page.
//! - [`rpc`]: servers with health, reflection, deadlines and callers; clients; typed refusals; gRPC in memory.
//! - [`auth`]: who calls, and what the caller may do.
//! - [`shutdown`]: tasks that bring the process down loudly when they fail, and stop together.
//! - [`boundary`]: tells a crash test what was in progress.
//!
//! Knows nothing of accounts, leases, databases or messages.

pub mod auth;
pub mod boundary;
pub mod config;
pub mod metrics;
pub mod rpc;
pub mod shutdown;
pub mod telemetry;

/// The error with all its causes, on one line, as logs show it.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
