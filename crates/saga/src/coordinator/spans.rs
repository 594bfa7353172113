//! Spans of sagas: one short one for each change, in the saga's own trace; one for a batch, which only links.

use homeward_chassis::telemetry::TraceContext;
use tracing::Span;
use uuid::Uuid;

use crate::arrival::Applied;
use crate::definition::Saga;
use crate::plan::Progress;

/// Links that a batch's span bears at most; OpenTelemetry drops further ones.
const LINKS: usize = 128;

/// One change of a saga: a child of the span that the saga began in. Ends with the transaction.
pub(super) fn step<S: Saga>(
    id: Uuid,
    version: u32,
    from: Option<&str>,
    progress: &Progress<S::Data>,
    trace: &TraceContext,
) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "saga.step",
        saga.id = %id,
        saga.name = S::NAME,
        saga.version = version,
        saga.from = from,
        saga.step = progress.step.as_deref().unwrap_or("closed"),
        saga.attempt = progress.asked_again,
        correlation.id = %id,
        otel.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        trace.adopt(&span);
    }
    span
}

/// The context for what follows from a change; the saga's own where its span is not recorded.
pub(super) fn context(span: &Span, saga: &TraceContext) -> TraceContext {
    if span.is_disabled() {
        return saga.clone();
    }
    let own = TraceContext::of(span);
    if own.is_none() { saga.clone() } else { own }
}

/// One transaction over many sagas, in a trace of its own.
pub(super) fn run<S: Saga>(arrivals: usize) -> Span {
    tracing::info_span!(parent: None, "saga.run", saga.name = S::NAME, saga.arrivals = arrivals, saga.changes = tracing::field::Empty)
}

/// Links the batch's span to the spans of the changes that it made.
pub(super) fn link<S: Saga>(run: &Span, applied: &[Applied<S>]) {
    run.record("saga.changes", applied.len());
    if !run.is_disabled() {
        for change in applied.iter().take(LINKS) {
            change.trace.link(run);
        }
    }
}

/// The transaction was undone: the changes did not happen, though their spans are exported.
pub(super) fn undone(spans: &[Span]) {
    for span in spans {
        span.record("otel.status_code", "ERROR");
    }
}
