//! The form of a log line: for people, or JSON; always with the trace and what it is about, never with personal data.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::{TraceContextExt, TraceId};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::span::Id;
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::mask::mask_emails;

/// Between a field's name and its value, and between fields, in what a span keeps for its lines.
const NAME_END: char = '\u{1f}';
const FIELD_END: char = '\u{1e}';

/// Keeps of a span what its log lines shall name: ids and the saga's step, not the attributes for the trace alone.
pub(super) struct SpanFields {
    mask: bool,
}

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut kept = Kept { writer, mask: self.mask, result: Ok(()) };
        fields.record(&mut kept);
        kept.result
    }
}

fn names_the_subject(field: &str) -> bool {
    let last = field.rsplit(['.', '_']).next();
    last == Some("id") || matches!(field, "recovery" | "lease" | "organisation" | "saga" | "step" | "saga.name" | "saga.step")
}

struct Kept<'writer> {
    writer: Writer<'writer>,
    mask: bool,
    result: fmt::Result,
}

impl Visit for Kept<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if names_the_subject(field.name()) && self.result.is_ok() {
            let text = format!("{value:?}");
            let text = if self.mask { mask_emails(&text) } else { Cow::Borrowed(text.as_str()) };
            self.result = write!(self.writer, "{}{NAME_END}{text}{FIELD_END}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Writes one line.
pub(super) struct Line {
    format: LogFormat,
    mask: bool,
    dispatch: Arc<OnceLock<WeakDispatch>>,
}

/// Tells [`Line`] which dispatch it is part of. While an event is handled, `tracing` does not answer who the current
/// span is, so the span's trace has to be asked of the dispatch itself.
pub(super) struct DispatchOfLine(Arc<OnceLock<WeakDispatch>>);

impl<S: Subscriber> Layer<S> for DispatchOfLine {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Registered once; a second dispatch around the same layer would answer alike.
        let _ = self.0.set(dispatch.downgrade());
    }
}

impl Line {
    pub(super) fn new(format: LogFormat, mask: bool) -> Self {
        Self { format, mask, dispatch: Arc::default() }
    }

    pub(super) fn dispatch(&self) -> DispatchOfLine {
        DispatchOfLine(self.dispatch.clone())
    }

    pub(super) fn span_fields(&self) -> SpanFields {
        SpanFields { mask: self.mask }
    }

    fn trace_id(&self, span: &Id) -> Option<String> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(span, &dispatch)?;
        let id = context.span().span_context().trace_id();
        (id != TraceId::INVALID).then(|| id.to_string())
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said { mask: self.mask, ..Said::default() };
        event.record(&mut said);
        for span in ctx.event_scope().into_iter().flatten() {
            if let Some(kept) = span.extensions().get::<FormattedFields<N>>() {
                said.add_missing(&kept.fields);
            }
        }
        if let Some(trace_id) = ctx.lookup_current().and_then(|span| self.trace_id(&span.id())) {
            said.fields.push(("trace_id", Value::Text(trace_id)));
        }
        match self.format {
            LogFormat::Human => said.human(writer, event),
            LogFormat::Json => said.json(writer, event),
        }
    }
}

enum Value {
    Text(String),
    /// A number or a truth, which JSON writes as it is.
    Plain(String),
}

/// What an event says: its message and its fields, then those of the spans around it.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
    outer: Vec<(String, String)>,
    mask: bool,
}

impl Said {
    fn masked(&self, text: String) -> String {
        if self.mask
            && let Cow::Owned(masked) = mask_emails(&text)
        {
            masked
        } else {
            text
        }
    }

    /// Inner spans come first, and what they say wins.
    fn add_missing(&mut self, kept: &str) {
        for (name, value) in kept.split(FIELD_END).filter_map(|field| field.split_once(NAME_END)) {
            let known = self.fields.iter().any(|(field, _)| *field == name) || self.outer.iter().any(|(field, _)| field == name);
            if !known {
                self.outer.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn human(&self, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:>5} {}: {}", event.metadata().level().as_str(), event.metadata().target(), one_line(&self.message))?;
        for (name, value) in &self.fields {
            let (Value::Text(value) | Value::Plain(value)) = value;
            write!(writer, " {name}={}", one_line(value))?;
        }
        for (name, value) in &self.outer {
            write!(writer, " {name}={}", one_line(value))?;
        }
        writer.write_char('\n')
    }

    fn json(&self, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        write!(writer, "{{\"timestamp\":\"{time}\",\"level\":\"{}\"", event.metadata().level().as_str())?;
        write!(writer, ",\"target\":{},\"message\":{}", quoted(event.metadata().target()), quoted(&self.message))?;
        for (name, value) in &self.fields {
            match value {
                Value::Text(text) => write!(writer, ",{}:{}", quoted(name), quoted(text))?,
                Value::Plain(plain) => write!(writer, ",{}:{plain}", quoted(name))?,
            }
        }
        for (name, value) in &self.outer {
            write!(writer, ",{}:{}", quoted(name), quoted(value))?;
        }
        writer.write_str("}\n")
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = self.masked(format!("{value:?}"));
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((field.name(), Value::Text(text)));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let text = self.masked(crate::error_chain(value));
        self.fields.push((field.name(), Value::Text(text)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::Plain(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Plain(value.to_string())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::Plain(value.to_string())));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let plain = if value.is_finite() { Value::Plain(value.to_string()) } else { Value::Text(value.to_string()) };
        self.fields.push((field.name(), plain));
    }
}

/// A value with line breaks or control characters must not look like a line of its own.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { Cow::Owned(text.escape_debug().to_string()) } else { Cow::Borrowed(text) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
