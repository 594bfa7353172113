//! The calling side: a channel that sends the trace, the caller's token and the deadline with every call.

use std::pin::Pin;
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

use super::call::{InSpan, Side, span_of};
use super::{DEADLINE, deadline, refused::Refused};
use crate::auth::Bearer;
use crate::telemetry::TraceContext;

/// Wraps a channel for a generated client: `PolicyServiceClient::new(Client::new(channel).bearing(token))`.
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
}

impl Client {
    /// A client without a token, with the usual deadline of 10 s.
    pub fn new(channel: Channel) -> Self {
        Self { channel, bearer: None, deadline: DEADLINE }
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

    fn prepare(&self, request: &mut Request<Body>, trace: &TraceContext) -> Duration {
        let headers = request.headers_mut();
        let wanted = deadline::parse(headers).unwrap_or(self.deadline);
        let allowed = deadline::within_the_served_call(wanted);
        headers.insert(deadline::HEADER, deadline::format(allowed));
        trace.write_to(headers);
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
        let span = span_of!(request.uri().path(), "rpc.client", "client");
        let trace = TraceContext::of(&span).or_current();
        let allowed = self.prepare(&mut request, &trace);
        let answer = span.in_scope(|| self.channel.call(request));
        Call { inner: InSpan::new(InTime { inner: tokio::time::timeout(allowed, answer), allowed }, span, Side::Client) }
    }
}

pin_project! {
    /// A call on its way.
    pub struct Call {
        #[pin]
        inner: InSpan<InTime>,
    }
}

impl Future for Call {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

pin_project! {
    struct InTime {
        #[pin]
        inner: Timeout<ResponseFuture>,
        allowed: Duration,
    }
}

impl Future for InTime {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.inner.poll(cx)) {
            Ok(Err(error)) if ran_out_of_time(&error) => Poll::Ready(Ok(too_late(*this.allowed))),
            Ok(answer) => Poll::Ready(answer),
            Err(_elapsed) => Poll::Ready(Ok(too_late(*this.allowed))),
        }
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
