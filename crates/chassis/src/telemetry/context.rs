//! The W3C trace context as two texts, so that it can lie in a row or a message and be taken up days later.

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Where a trace stands: the W3C `traceparent` and `tracestate`. Empty when there is no trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`, or empty.
    pub traceparent: String,
    /// What vendors add, most often empty.
    #[serde(default)]
    pub tracestate: String,
}

impl TraceContext {
    /// The context of the span that the caller is in; empty outside any.
    pub fn current() -> Self {
        let of_span = Self::of(&Span::current());
        // A span that the trace layer filters out has no context of its own; the one around it was activated on entry.
        if of_span.is_none() { Self::of_context(&Context::current()) } else { of_span }
    }

    /// The context of `span`; empty if the span is disabled.
    pub fn of(span: &Span) -> Self {
        Self::of_context(&span.context())
    }

    /// Makes `span`, which was not yet entered, a child of this context. An empty context leaves it as it is.
    pub fn adopt(&self, span: &Span) {
        if !self.is_none()
            && let Err(tracing_opentelemetry::SetParentError::AlreadyStarted) = span.set_parent(self.context())
        {
            tracing::warn!(span = span.metadata().map(tracing::Metadata::name), "span was entered before its parent was set; it is in another trace");
        }
    }

    /// This context, or the current one if this is empty.
    pub(crate) fn or_current(self) -> Self {
        if self.is_none() { Self::current() } else { self }
    }

    /// What a caller sent along, over HTTP or gRPC.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let sent = Self { traceparent: text(TRACEPARENT), tracestate: text(TRACESTATE) };
        if sent.is_valid() { sent } else { Self::default() }
    }

    /// Sends this context along with a call.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        for (name, text) in [(TRACEPARENT, &self.traceparent), (TRACESTATE, &self.tracestate)] {
            if !text.is_empty()
                && let Ok(value) = HeaderValue::from_str(text)
            {
                headers.insert(name, value);
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.context().span().span_context().is_valid()
    }

    /// Adds a link from `span` to this context: the span has to do with it without being its child.
    pub fn link(&self, span: &Span) {
        span.add_link(self.context().span().span_context().clone());
    }

    /// Whether there is no trace.
    pub fn is_none(&self) -> bool {
        self.traceparent.is_empty()
    }

    /// The trace id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.split('-').nth(1).filter(|id| id.len() == 32)
    }

    /// As OpenTelemetry holds it, marked as coming from elsewhere.
    pub fn context(&self) -> Context {
        TraceContextPropagator::new().extract_with_context(&Context::new(), self)
    }

    fn of_context(context: &Context) -> Self {
        let mut carried = Self::default();
        TraceContextPropagator::new().inject_context(context, &mut carried);
        carried
    }
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(&self.traceparent),
            TRACESTATE => Some(&self.tracestate),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

impl Injector for TraceContext {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.traceparent = value,
            TRACESTATE => self.tracestate = value,
            _ => {}
        }
    }
}
