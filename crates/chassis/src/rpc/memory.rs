//! gRPC without a socket: services and clients of one process meet at a [`Hub`].
//!
//! The calls are the same HTTP/2 as over a socket, so that the embedded default behaves as the distributed one.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::Client;

/// Bytes in flight in each direction of a connection: several calls of ordinary size.
const PIPE: usize = 256 * 1024;

/// Connections that may wait to be accepted; a service that is up accepts at once.
const BACKLOG: usize = 64;

/// Where services of this process register and clients find them, by the service's short name (`policy`).
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>>);

impl Hub {
    /// A hub without services.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connections to `service`, from now on. A second call replaces the first: a service that was restarted.
    pub fn listen(&self, service: &str) -> Incoming {
        let (sender, connections) = mpsc::channel(BACKLOG);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), sender);
        Incoming(connections)
    }

    /// A client of `service`, still without a token.
    pub fn client(&self, service: &str) -> Client {
        Client::new(self.channel(service)).of(service, None)
    }

    /// A channel to `service`. It connects at the first call, and again after the service was restarted, so the order
    /// in which services start does not matter.
    pub fn channel(&self, service: &str) -> Channel {
        let (hub, name) = (self.clone(), service.to_owned());
        super::client::tuned(Endpoint::from_static("http://memory")).connect_with_connector_lazy(tower::service_fn(
            move |_: Uri| {
                let (hub, name) = (hub.clone(), name.clone());
                async move { hub.connect(&name).await.map(TokioIo::new) }
            },
        ))
    }

    async fn connect(&self, service: &str) -> io::Result<DuplexStream> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned();
        let missing = || io::Error::new(io::ErrorKind::ConnectionRefused, format!("{service} does not run in this process"));
        let (near, far) = tokio::io::duplex(PIPE);
        sender.ok_or_else(missing)?.send(far).await.map_err(|_| missing())?;
        Ok(near)
    }
}

/// Connections to one service, as they come in.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<DuplexStream>);

impl Stream for Incoming {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}
