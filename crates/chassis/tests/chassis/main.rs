//! What the other crates rely on, over real connections.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod boundary;
mod config;
mod echo;
mod rpc;
mod rpc_auth;
mod rpc_deadline;
mod rpc_identity;
mod rpc_tls;
mod rpc_trace;
mod shutdown;
