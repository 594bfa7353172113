//! What every service stands on: configuration, telemetry, gRPC, callers, shutdown, and the crash boundary.
//!
//! - [`config`]: one file plus environment, checked; secrets; development or production mode.
//! - [`telemetry`]: logs, traces and metrics; the W3C trace context that travels with messages and rows.
//! - [`metrics`]: the instruments, by OTLP and on a Prometheus page.
//! - [`rpc`]: servers with health, reflection, deadlines and callers; clients; typed refusals; gRPC in memory.
//! - [`auth`]: who calls, and what the caller may do.
//! - [`health`]: whether the process can do its work, for probes.
//! - [`shutdown`]: tasks that bring the process down loudly when they fail, and stop together.
//! - [`mod@boundary`]: tells a crash test what was in progress.
//!
//! Knows nothing of accounts, leases, databases or messages.

pub mod auth;
pub mod boundary;
pub mod config;
pub mod health;
pub mod metrics;
pub mod rpc;
pub mod shutdown;
pub mod telemetry;

/// The error with all its causes, on one line, as logs show it.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What caused the error, from the outermost cause to the innermost.
pub(crate) fn causes<'error>(
    error: &'error (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'error (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause.source())
}
