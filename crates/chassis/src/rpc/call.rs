//! The span of one call, on either side, and how its answer is written into it.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tracing::Span;

pin_project! {
    /// Serves a call within its span and records how it ended.
    pub(super) struct InSpan<F> {
        #[pin]
        inner: F,
        span: Span,
    }
}

/// Which end of the call a span describes; the conventions differ in what counts as an error.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Client,
    Server,
}

impl<F> InSpan<F> {
    pub(super) fn new(inner: F, span: Span) -> Self {
        Self { inner, span }
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
        record(this.span, Side::Server, code_of(&answer));
        Poll::Ready(answer)
    }
}

/// The code in an answer's headers. One that is not there comes with the trailers: the call went well so far.
pub(super) fn code_of<B, E>(answer: &Result<http::Response<B>, E>) -> Code {
    let Ok(answer) = answer else { return Code::Unavailable };
    answer.headers().get(Status::GRPC_STATUS).map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// Writes into a call's span how it ended.
pub(super) fn record(span: &Span, side: Side, code: Code) {
    let name = super::refused::name_of(code);
    span.record("rpc.response.status_code", name);
    let failed = match side {
        Side::Client => code != Code::Ok,
        Side::Server => is_our_fault(code),
    };
    if failed {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", name);
    }
}

/// Whether a server counts the code as an error of its own, by OpenTelemetry's conventions for gRPC.
fn is_our_fault(code: Code) -> bool {
    match code {
        Code::Unknown | Code::DeadlineExceeded | Code::Unimplemented | Code::Internal | Code::Unavailable | Code::DataLoss => {
            true
        }
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

/// A span for the call of `path` (`/package.Service/Method`), with the attributes of OpenTelemetry's stable conventions
/// for gRPC.
macro_rules! span_of {
    ($path:expr, $name:literal, $kind:literal $(, $field:ident . $part:ident = $value:expr)*) => {{
        let method = $path.trim_start_matches('/');
        tracing::info_span!(
            target: "homeward::rpc",
            $name,
            otel.name = method,
            otel.kind = $kind,
            rpc.system.name = "grpc",
            rpc.method = method,
            $($field.$part = $value,)*
            rpc.response.status_code = tracing::field::Empty,
            "error.type" = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        )
    }};
}
pub(super) use span_of;
