//! The consuming loop: hands messages to a handler in batches, and settles them by what became of them.
//!
//! - The handler commits, then the loop acknowledges. Nothing is settled because the database or the broker is in trouble.
//! - A batch that fails is tried again by halves, down to the one message that is at fault; it alone becomes a dead letter
//!   after failing five times by itself while its neighbours went through.

mod run;
mod spans;
mod suspects;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use homeward_chassis::telemetry::TraceContext;
use homeward_store::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::broker::Broker;
use crate::envelope::Envelope;
use crate::topology::QueueSpec;

/// What a service does with the messages of one queue.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Decides on a batch and commits the effects; one verdict for each message, in order. The batch is never empty.
    ///
    /// May be called again with the same messages, alone or among others, after an error, a crash or a redelivery: repeats are dropped by
    /// natural keys. Messages that it decides to send are handed to [`Outbox::publish`](crate::Outbox::publish), which does not wait.
    ///
    /// # Errors
    /// [`HandleError`]: nothing of the batch took effect.
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError>;

    /// Whether what the handler stands on (its database) answers now. Asked after trouble, before messages are taken again.
    async fn is_ready(&self) -> bool;
}

/// A message for a handler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// How often the broker handed it out, this time included.
    pub deliveries: u32,
    /// The consumer span: a child of the message's context. What is decided because of the message belongs in it.
    pub span: Span,
}

impl Received {
    /// The context of the consumer span, for messages and rows that this message leads to; the message's own where spans are off.
    pub fn trace(&self) -> TraceContext {
        let of_span = TraceContext::of(&self.span);
        if of_span.is_none() { self.envelope.trace.clone() } else { of_span }
    }
}

/// What is to become of a message that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its effect is committed, or it is a repeat, or it has none.
    Done,
    /// It can never take effect (undecodable, contradictory); the text tells a person why.
    DeadLetter(String),
}

/// Why a batch was not handled. Nothing of it took effect.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The database, or something else that every message needs, is in trouble: no message is to blame.
    #[error("what every message needs is in trouble")]
    Infrastructure(#[source] Box<dyn Error + Send + Sync>),
    /// Some message of the batch is to blame.
    #[error("a message of the batch cannot be handled")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl From<StoreError> for HandleError {
    fn from(error: StoreError) -> Self {
        if error.is_infrastructure() { Self::Infrastructure(Box::new(error)) } else { Self::Failed(Box::new(error)) }
    }
}

/// Times of the loop. [`Pace::default`] is right for production; tests shorten it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The first wait after trouble with the database or the broker; doubles to `longest_wait`. Default 100 ms.
    pub first_wait: Duration,
    /// The longest such wait. Default 5 s.
    pub longest_wait: Duration,
    /// How long a batch is held through trouble before the subscription is given up until the database is back. Default 30 s.
    pub hold: Duration,
    /// How often a message may fail by itself before it becomes a dead letter. Default 5.
    pub tries_alone: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(5),
            hold: Duration::from_secs(30),
            tries_alone: 5,
        }
    }
}

/// Consumes a queue until the shutdown; a batch in the handler's hands is finished first. Never ends because of trouble: it waits and
/// begins anew.
pub async fn consume(broker: Arc<dyn Broker>, queue: QueueSpec, handler: Arc<dyn Handler>, shutdown: CancellationToken) {
    consume_at(broker, queue, handler, shutdown, Pace::default()).await;
}

/// As [`consume`], at another pace.
pub async fn consume_at(
    broker: Arc<dyn Broker>,
    queue: QueueSpec,
    handler: Arc<dyn Handler>,
    shutdown: CancellationToken,
    pace: Pace,
) {
    run::Loop { broker, queue, handler, pace, shutdown }.run().await;
}
