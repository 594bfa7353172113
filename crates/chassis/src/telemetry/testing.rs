//! Records the spans of a test process, so that a test can ask for the tree of one trace.

use std::collections::HashSet;
use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{TraceContext, is_ours, trace_layer};

/// All spans that ended in this process since the first call of [`record`].
#[derive(Debug, Clone)]
pub struct Recorded {
    exporter: InMemorySpanExporter,
    // Dropping the provider would end the recording.
    _provider: SdkTracerProvider,
}

/// Begins to record, for the whole process; further calls give the same record. Tests that run beside each other tell
/// their spans apart by trace.
///
/// # Panics
/// If something else has set up `tracing` in this process.
pub fn record() -> Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED
        .get_or_init(|| {
            let exporter = InMemorySpanExporter::default();
            let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
            tracing_subscriber::registry()
                .with(filter_fn(|metadata| metadata.is_span() && is_ours(metadata)).with_max_level_hint(Level::INFO))
                .with(trace_layer(provider.tracer("homeward")))
                .init();
            Recorded { exporter, _provider: provider }
        })
        .clone()
}

impl Recorded {
    /// The ended spans of the trace that `context` belongs to, in the order of their beginning.
    pub fn trace(&self, context: &TraceContext) -> Vec<SpanData> {
        let wanted = context.trace_id().unwrap_or_default();
        let mut spans = self.exporter.get_finished_spans().unwrap_or_default();
        spans.retain(|span| span.span_context.trace_id().to_string() == wanted);
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// The names of the spans of that trace whose parent is neither there nor the null span: orphans.
    pub fn orphans(&self, context: &TraceContext) -> Vec<String> {
        let spans = self.trace(context);
        let known: HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
        let orphaned = |span: &&SpanData| {
            span.parent_span_id != opentelemetry::trace::SpanId::INVALID && !known.contains(&span.parent_span_id)
        };
        spans.iter().filter(orphaned).map(|span| span.name.to_string()).collect()
    }
}
