//! The spans of the consuming loop: one for each message, in the message's trace; one for a batch, which only links.

use homeward_chassis::telemetry::TraceContext;
use tracing::Span;

use crate::consume::run::{Item, Loop};
use crate::envelope::Envelope;

impl Loop {
    /// What the handler does for all of a batch happens in a span that only links; what it does for one message, in that message's.
    pub(super) fn batch_span(&self, part: &[Item]) -> Span {
        if let [item] = part {
            return item.received.span.clone();
        }
        let span = tracing::debug_span!(
            parent: None,
            "process batch",
            otel.name = format!("process batch {}", self.queue.name),
            messaging.system = self.broker.system(),
            messaging.destination.name = self.queue.name,
            messaging.batch.message_count = part.len()
        );
        if !span.is_disabled() {
            for item in part {
                TraceContext::of(&item.received.span).link(&span);
            }
        }
        span
    }

    /// A message's consumer span, a child of the message's context.
    pub(super) fn span(&self, envelope: &Envelope) -> Span {
        let span = tracing::info_span!(
            parent: None,
            "process",
            otel.name = format!("process {}", self.queue.name),
            otel.kind = "consumer",
            messaging.system = self.broker.system(),
            messaging.operation.type = "process",
            messaging.destination.name = self.queue.name,
            messaging.message.id = %envelope.id,
            messaging.message.conversation_id = %envelope.correlation,
            message.kind = envelope.kind,
        );
        if !span.is_disabled() {
            envelope.trace.adopt(&span);
            span.in_scope(|| {});
        }
        span
    }
}
