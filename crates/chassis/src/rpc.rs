//! gRPC: servers, clients, typed refusals, and the same over memory.
//!
//! A call carries three things besides its message: the caller's trace (`traceparent`), who calls (`authorization`),
//! and how long the caller waits (`grpc-timeout`). [`Client`] sends them and [`Server`] takes them up, so that
//! handlers and callers need not.

mod access;
mod call;
mod client;
mod deadline;
mod edge;
mod ending;
mod forward;
pub mod memory;
mod peer;
mod refused;
mod replicas;
mod server;

use std::time::Duration;

pub use access::{Access, IDENTITY_DOMAIN};
pub use client::Client;
pub use forward::Forward;
pub use peer::{Listen, Peer, PeerError, Tls};
pub use refused::Refused;
pub use replicas::Identity;
pub use server::{ServeError, Server};

/// The largest message that is received, in bytes; see [`sized!`](crate::sized!).
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// How long a call may take when the caller does not say.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Lets a generated server or client receive messages of up to [`MAX_MESSAGE`]. The receiving side refuses a larger one
/// with `OUT_OF_RANGE`; were the sender to refuse it, the other side would see a broken stream.
///
/// For example `sized!(PolicyServiceServer::new(service))` or `sized!(PolicyServiceClient::new(client))`.
#[macro_export]
macro_rules! sized {
    ($generated:expr) => {
        $generated.max_decoding_message_size($crate::rpc::MAX_MESSAGE)
    };
}
pub use crate::sized;
