//! Listening and serving. Unlike axum's own server, this one can cut a connection instead of answering.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{BoxError, Service};

/// Ports that are tried for port 0: below those that outgoing connections get, so that a restart finds its port free.
const PORTS: std::ops::Range<u16> = 18_000..32_000;

/// Marks a response in whose place the connection is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut;

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut, as a fault asked for")]
struct WasCut;

/// Binds `address`; port 0 stands for a free one below 32000.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    if address.port() != 0 {
        return TcpListener::bind(address).await;
    }
    // Two processes seldom begin at the same port; two simulators of one process never try the same at once.
    let begin = std::process::id().wrapping_mul(7_919);
    for _ in PORTS {
        let turn = begin.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(turn % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
        match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port between 18000 and 32000"))
}

/// Serves until `stop` changes or its sender is gone; then every connection is cut.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the simulator could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router) {
    // Small answers must not wait for the acknowledgement of the ones before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the simulator could not set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(Cutting(router));
    let served = auto::Builder::new(TokioExecutor::new()).http1_only().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::trace!(error, "a connection to the simulator ended early");
    }
}

/// The router, with responses marked [`Cut`] turned into the end of the connection.
#[derive(Clone)]
struct Cutting(Router);

impl<B> Service<Request<B>> for Cutting
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<Cut>().is_some() { Err(WasCut.into()) } else { Ok(response) }
        })
    }
}
