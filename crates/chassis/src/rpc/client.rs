//! The calling side: a channel that sends the trace, the caller's token and the deadline with every call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Timeout;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint, Error};
use tower::Service;
use tracing::Span;

use super::call::{self, Side, span_of};
use super::refused::Refused;
use super::{DEADLINE, deadline};
use crate::auth::Bearer;
use crate::telemetry::TraceContext;

/// Wraps a channel for a generated client: `PolicyServiceClient::new(hub.client("policy").bearing(&token))`.
///
/// Every call gets a client span, whose context it carries; the token, unless the request brings one of its own
/// (the console forwards its caller's); and a deadline, unless the request sets one. A call made while serving
/// another gets no longer than that one has left. When time runs out the answer is a [`Refused`] with the reason
/// `DEADLINE_EXCEEDED`.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    bearer: Option<HeaderValue>,
    deadline: Duration,
    server: Option<Arc<str>>,
    port: Option<u16>,
}

impl Client {
    /// A client without a token, with the usual deadline of 10 s. [`Hub::client`](super::memory::Hub::client) and
    /// [`Peer::client`](super::Peer::client) make one whose spans also name the other side.
    pub fn new(channel: Channel) -> Self {
        Self { channel, bearer: None, deadline: DEADLINE, server: None, port: None }
    }

    /// What spans call the other side: its host, or its name in memory.
    #[must_use]
    pub fn of(mut self, server: &str, port: Option<u16>) -> Self {
        self.server = Some(Arc::from(server));
        self.port = port;
        self
    }

    /// Calls in the name of whom `token` belongs to.
    #[must_use]
    pub fn bearing(mut self, token: &Bearer) -> Self {
        self.bearer = Some(token.header());
        self
    }

    /// Waits `deadline` for an answer, where the request does not say otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn prepare(&self, request: &mut Request<Body>, span: &Span) -> Duration {
        let headers = request.headers_mut();
        let wanted = deadline::parse(headers).unwrap_or(self.deadline);
        let allowed = deadline::within_the_served_call(wanted);
        headers.insert(deadline::HEADER, deadline::format(allowed));
        TraceContext::send(span, headers);
        if let Some(bearer) = &self.bearer
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        allowed
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Call;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Call {
        let span = span_of!(
            request.uri().path(),
            "rpc.client",
            "client",
            server.address = self.server.as_deref(),
            server.port = self.port
        );
        let allowed = self.prepare(&mut request, &span);
        // The span is not entered: nothing that the channel does belongs to it, and entering it costs at every poll.
        let answer = tokio::time::timeout(allowed, self.channel.call(request));
        Call { answer, span, allowed }
    }
}

pin_project! {
    /// A call on its way.
    pub struct Call {
        #[pin]
        answer: Timeout<ResponseFuture>,
        span: Span,
        allowed: Duration,
    }
}

impl Future for Call {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match ready!(this.answer.poll(cx)) {
            Ok(Err(error)) if ran_out_of_time(&error) => Ok(too_late(*this.allowed)),
            Ok(answer) => answer,
            Err(_elapsed) => Ok(too_late(*this.allowed)),
        };
        call::record(this.span, Side::Client, call::code_of(&answer));
        Poll::Ready(answer)
    }
}

/// Whether tonic's own timer, set by the header that we sent, was the first to ring.
fn ran_out_of_time(error: &Error) -> bool {
    crate::causes(error).any(<dyn std::error::Error>::is::<tonic::TimeoutExpired>)
}

fn too_late(allowed: Duration) -> Response<Body> {
    tonic::Status::from(Refused::too_late(allowed)).into_http()
}

/// Settings that every connection shares: small messages leave at once, and a dead peer is noticed within 15 s.
pub(super) fn tuned(endpoint: Endpoint) -> Endpoint {
    const WINDOW: u32 = 1024 * 1024;
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
}
