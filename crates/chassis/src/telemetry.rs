//! Logs, traces and metrics of a process.

mod context;

pub use context::TraceContext;
