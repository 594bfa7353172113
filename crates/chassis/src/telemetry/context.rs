//! The W3C trace context as two texts, so that it can lie in a row or a message and be taken up days later.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

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
        Self::of(&Span::current())
    }

    /// The context of `span`; empty if the span is disabled.
    pub fn of(span: &Span) -> Self {
        Self::of_context(&span.context())
    }

    /// Makes `span`, whose own context nobody has asked for yet, a child of this context. An empty context leaves it as it is.
    pub fn adopt(&self, span: &Span) {
        if !self.is_none() {
            set_parent(span, self.context());
        }
    }

    /// What a caller sent along, over HTTP or gRPC; empty if it sent nothing, or nothing that is a context.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::of_context(&TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers)))
    }

    /// Makes `span` a child of what a caller sent along.
    pub(crate) fn adopt_from(headers: &HeaderMap, span: &Span) {
        let sent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers));
        if sent.has_active_span() {
            set_parent(span, sent);
        }
    }

    /// Sends the context of `span` along with a call, or the current one if `span` is disabled.
    pub(crate) fn send(span: &Span, headers: &mut HeaderMap) {
        let context = if span.is_disabled() { Span::current().context() } else { span.context() };
        TraceContextPropagator::new().inject_context(&context, &mut Sent(headers));
    }

    /// Sends this context along with a call, over HTTP or gRPC.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        let mut sent = Sent(headers);
        sent.set(TRACEPARENT, self.traceparent.clone());
        sent.set(TRACESTATE, self.tracestate.clone());
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

fn set_parent(span: &Span, parent: Context) {
    // Without a trace layer, or with the span disabled, there is no trace to be in.
    if let Err(SetParentError::AlreadyStarted) = span.set_parent(parent) {
        let name = span.metadata().map(tracing::Metadata::name);
        tracing::warn!(name, "a span was in use before its parent was set: it lies in another trace");
    }
}

/// The headers of a call that came in.
struct Received<'call>(&'call HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

/// The headers of a call that goes out.
struct Sent<'call>(&'call mut HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = if key == TRACEPARENT { TRACEPARENT } else { TRACESTATE };
        if !value.is_empty()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            self.0.insert(HeaderName::from_static(name), value);
        }
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
