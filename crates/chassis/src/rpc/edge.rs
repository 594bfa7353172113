//! What happens to every call before its handler: span in the caller's trace, who calls, how long it may take.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use homeward_types::Role;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Span;

use super::access::{Access, service_of};
use super::call::{InSpan, span_of};
use super::deadline::{self, SERVED_UNTIL};
use super::ending::ending;
use super::refused::Refused;
use crate::auth::{Caller, Persons};
use crate::shutdown::panic_message;
use crate::telemetry::TraceContext;

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct HandlerPanicked(String);

/// Health and reflection answer anyone and leave no spans: probes call them every few seconds.
const OPEN_TO_ALL: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// Puts [`Edge`] in front of the routes.
#[derive(Debug, Clone)]
pub(super) struct EdgeLayer {
    pub(super) persons: Arc<Persons>,
    /// What services may call; `None`: whatever their role allows, and none is known by its certificate.
    pub(super) access: Option<Access>,
    pub(super) deadline: Duration,
    /// The end of the server.
    pub(super) stop: CancellationToken,
}

impl EdgeLayer {
    /// Who calls: whom the token belongs to, whoever brings it; without one, the service that the certificate names.
    fn identify(&self, request: &Request<Body>) -> Result<Caller, Refused> {
        let named = self.access.as_ref().filter(|_| !request.headers().contains_key(AUTHORIZATION));
        let named = named.and_then(|_| service_of(request.extensions()));
        let caller = named.map_or_else(|| self.persons.identify(request.headers()), Ok)?;
        match &self.access {
            Some(access) if caller.person().may(Role::Service) => {
                access.check(caller.person().id.as_str(), request.uri().path())?;
            }
            Some(_) | None => {}
        }
        Ok(caller)
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, edge: self.clone() }
    }
}

/// The service that every call passes first.
#[derive(Debug, Clone)]
pub(super) struct Edge<S> {
    inner: S,
    edge: EdgeLayer,
}

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = InSpan<Served<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if OPEN_TO_ALL.iter().any(|prefix| path.starts_with(prefix)) {
            return InSpan::new(self.run(request), Span::none());
        }
        let span = span_of!(path, "rpc.server", "server");
        TraceContext::adopt_from(request.headers(), &span);
        let served = match self.edge.identify(&request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                span.in_scope(|| self.run(request))
            }
            Err(refused) => Served::Refused { refused: Some(refused) },
        };
        InSpan::new(served, span)
    }
}

impl<S> Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    fn run(&mut self, request: Request<Body>) -> Served<S::Future> {
        let allowed = deadline::parse(request.headers()).unwrap_or(self.edge.deadline);
        let until = Instant::now() + allowed;
        let answer = SERVED_UNTIL.scope(until, tokio::time::timeout_at(until, self.inner.call(request)));
        Served::Running { answer, allowed, stop: self.edge.stop.clone() }
    }
}

pin_project! {
    /// A call being served, or refused before its handler.
    #[project = ServedNow]
    pub(super) enum Served<F> {
        Refused { refused: Option<Refused> },
        Running { #[pin] answer: TaskLocalFuture<Instant, Timeout<F>>, allowed: Duration, stop: CancellationToken },
    }
}

impl<F> Future for Served<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let refused = match self.project() {
            ServedNow::Refused { refused } => refused.take(),
            // A panic costs this call alone, and its caller is told; otherwise it would look like a lost connection.
            ServedNow::Running { answer, allowed, stop } => match catch_unwind(AssertUnwindSafe(|| answer.poll(cx))) {
                Ok(polled) => match ready!(polled) {
                    Ok(answer) => return Poll::Ready(answer.map(|answer| answer.map(|body| ending(body, stop)))),
                    Err(_elapsed) => Some(Refused::too_late(*allowed)),
                },
                Err(panic) => Some(Refused::internal(&HandlerPanicked(panic_message(&*panic)))),
            },
        };
        Poll::Ready(Ok(refused.map_or_else(|| Status::internal("polled after the end"), Status::from).into_http()))
    }
}
