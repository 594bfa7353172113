//! The serving side: routes behind the edge, with health and reflection, on TCP and in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::{Connected, ServerTlsConfig, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower::Service;

use super::DEADLINE;
use super::access::Access;
use super::edge::EdgeLayer;
use super::memory::Incoming;
use super::peer::{PeerError, Tls};
use crate::auth::Persons;
use crate::health::Health;

/// Calls that one connection may have running; more wait for their turn, and their callers' deadlines go on.
const CALLS_PER_CONNECTION: usize = 256;

/// How long calls that run when the shutdown begins may still take.
const GRACE: Duration = Duration::from_secs(6);

/// HTTP/2 windows: one message of ordinary size never waits for a window update.
const WINDOW: u32 = 1024 * 1024;

/// Why a server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of the services cannot be read: a fault in the build.
    #[error("the descriptors of the services cannot be read")]
    Descriptors(#[source] Box<tonic_reflection::server::Error>),
    /// The listener failed.
    #[error("serving gRPC")]
    Transport(#[from] tonic::transport::Error),
}

/// A set of gRPC services with all that surrounds them. Clones serve the same services, for example on TCP and in memory.
#[derive(Clone)]
pub struct Server {
    edge: EdgeLayer,
    descriptors: &'static [u8],
    routes: Routes,
    names: Vec<&'static str>,
    tls: Option<ServerTlsConfig>,
    health: HealthReporter,
    /// What health checks are told; `None`: all is well until the end.
    follows: Option<Health>,
}

impl Server {
    /// A server that answers only `persons`; `descriptors` (`homeward_proto::FDS`) is what reflection shows.
    pub fn new(persons: Arc<Persons>, descriptors: &'static [u8]) -> Self {
        let (health, health_service) = health_reporter();
        Self {
            edge: EdgeLayer { persons, access: None, deadline: DEADLINE, stop: CancellationToken::new() },
            descriptors,
            routes: Routes::new(health_service),
            names: Vec::new(),
            tls: None,
            health,
            follows: None,
        }
    }

    /// Adds a generated service, best through [`sized!`](crate::sized!).
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a builder's step, not arithmetic")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Lets services call only what `access` says, and knows them by their certificates too.
    #[must_use]
    pub fn allow(mut self, access: Access) -> Self {
        self.edge.access = Some(access);
        self
    }

    /// Tells health checks what `health` says.
    #[must_use]
    pub fn follow(mut self, health: Health) -> Self {
        self.follows = Some(health);
        self
    }

    /// How long a call may take when its caller does not say. Default: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.edge.deadline = deadline;
        self
    }

    /// Shows a certificate on TCP; in memory there is nobody to show it to.
    ///
    /// # Errors
    /// A [`PeerError`] if its files cannot be read.
    pub fn tls(mut self, tls: &Tls) -> Result<Self, PeerError> {
        self.tls = Some(tls.for_server()?);
        Ok(self)
    }

    /// Where a service reports that it cannot serve for now, and that it can again. All serve from the start.
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// Serves on `listener` until `stop`, then lets running calls finish for up to 6 s.
    ///
    /// # Errors
    /// A [`ServeError`].
    pub async fn serve_tcp(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let transport = transport();
        let transport = match self.tls.clone() {
            Some(tls) => transport.tls_config(tls)?,
            None => transport,
        };
        self.serve(transport, TcpIncoming::from(listener).with_nodelay(Some(true)), stop).await
    }

    /// Serves the connections that a [`Hub`](super::memory::Hub) brings, until `stop`, then as [`Self::serve_tcp`].
    ///
    /// # Errors
    /// A [`ServeError`].
    pub async fn serve_memory(self, incoming: Incoming, stop: CancellationToken) -> Result<(), ServeError> {
        self.serve(transport(), incoming, stop).await
    }

    async fn serve<I, IO>(
        mut self,
        transport: tonic::transport::Server,
        incoming: I,
        stop: CancellationToken,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = std::io::Result<IO>>,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        self.edge.stop = stop.clone();
        tell(&self.health, &self.names, self.follows.is_none()).await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(self.descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| ServeError::Descriptors(Box::new(error)))?;
        self.routes = self.routes.add_service(reflection).prepare();

        let stopped = stop.clone();
        let told = self.answer_health_checks(stop.clone());
        let serving = transport.layer(self.edge).serve_with_incoming_shutdown(self.routes, incoming, told);
        tokio::select! {
            ended = serving => Ok(ended?),
            () = async { stopped.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }

    /// Keeps health checks told until `stop` is there, and tells them of the end before the listener closes.
    fn answer_health_checks(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let (health, names, mut ready) = (self.health.clone(), self.names.clone(), self.follows.as_ref().map(Health::changes));
        async move {
            while let Some(changes) = &mut ready {
                let now = *changes.borrow_and_update();
                tell(&health, &names, now).await;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    changed = changes.changed() => if changed.is_err() { break },
                }
            }
            stop.cancelled().await;
            tell(&health, &names, false).await;
        }
    }
}

/// Tells health checks of these services, and of the whole.
async fn tell(health: &HealthReporter, names: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names.iter().copied().chain([""]) {
        health.set_service_status(name, status).await;
    }
}

fn transport() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
}
