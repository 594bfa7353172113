//! The span of one call, on either side, and how its answer is written into it.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tracing::Span;

pin_project! {
    /// Runs a call within its span and records how it ended.
    pub(super) struct InSpan<F> {
        #[pin]
        inner: F,
        span: Span,
        side: Side,
    }
}

/// Which end of the call a span describes; the conventions differ in what counts as an error.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Client,
    Server,
}

impl<F> InSpan<F> {
    pub(super) fn new(inner: F, span: Span, side: Side) -> Self {
        Self { inner, span, side }
    }
}

impl<F, B, E> Future for InSpan<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _entered = this.span.enter();
            std::task::ready!(this.inner.poll(cx))
        };
        let code = answer.as_ref().map_or(Code::Unavailable, |response| code_in(response.headers()));
        record(this.span, *this.side, code);
        Poll::Ready(answer)
    }
}

/// The code in an answer's headers. One that is not there comes with the trailers: the call went well so far.
fn code_in(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

fn record(span: &Span, side: Side, code: Code) {
    span.record("rpc.grpc.status_code", i32::from(code));
    let failed = match side {
        Side::Client => code != Code::Ok,
        Side::Server => is_our_fault(code),
    };
    if failed {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", super::refused::name_of(code));
    }
}

/// Whether a server counts the code as an error of its own, by OpenTelemetry's conventions for gRPC.
fn is_our_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// A span for the call of `path` (`/package.Service/Method`), named as the conventions ask: the path without its first slash.
macro_rules! span_of {
    ($path:expr, $name:literal, $kind:literal) => {{
        let full = $path.trim_start_matches('/');
        let (service, method) = full.rsplit_once('/').unwrap_or((full, ""));
        tracing::info_span!(
            target: "homeward::rpc",
            $name,
            otel.name = full,
            otel.kind = $kind,
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
            otel.status_description = tracing::field::Empty,
        )
    }};
}
pub(super) use span_of;
