//! What carries messages: one trait, two brokers that pass the same suite.

mod memory;
mod rabbit;

use std::sync::Arc;

use async_trait::async_trait;
use homeward_types::{MessageId, Timestamp};

use crate::envelope::Envelope;
use crate::topology::QueueSpec;

pub use memory::MemoryBroker;
pub use rabbit::RabbitBroker;

/// A broker. Losing it loses no message: rows leave the outbox only when it confirmed them.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// What it is, as spans call it (`messaging.system`).
    fn system(&self) -> &'static str;

    /// Publishes a batch with one wait for all its confirms, bounded to a few seconds. One answer for each message, in order.
    ///
    /// Publishing a message that the broker still holds is harmless.
    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>>;

    /// Begins to take messages from a declared queue. What the consumer has not settled when it is dropped comes back.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker cannot be reached or does not know the queue.
    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError>;

    /// Asks the broker for an answer, for readiness.
    ///
    /// # Errors
    /// [`BrokerError`] if none comes.
    async fn check(&self) -> Result<(), BrokerError>;

    /// The dead letters of a queue, oldest first, at most `most`. Looking does not move them.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker cannot be reached or does not know the queue.
    async fn dead(&self, queue: &QueueSpec, most: usize) -> Result<Vec<DeadLetter>, BrokerError>;

    /// Gives dead letters back to the queue that they died on, and to no other. Expired commands stay dead.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker cannot be reached; those already given back are gone from the dead letters.
    async fn redrive(&self, queue: &QueueSpec, ids: &[MessageId], now: Timestamp) -> Result<Vec<Redriven>, BrokerError>;
}

/// One subscription to one queue.
#[async_trait]
pub trait Consumer: Send {
    /// What is there, at most `most`, at least one: waits for the first and lingers for none. Safe to drop and call again.
    ///
    /// # Errors
    /// [`BrokerError`] if the subscription is lost: drop the consumer and subscribe anew.
    async fn next_batch(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError>;

    /// Says what became of deliveries of this consumer.
    ///
    /// # Errors
    /// [`BrokerError`] if the subscription is lost: what was not settled comes back to another consumer.
    async fn settle(&mut self, settlements: Vec<(Receipt, Settle)>) -> Result<(), BrokerError>;
}

/// A message in a consumer's hands.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message; an error says why the bytes on the wire are none.
    pub envelope: Result<Arc<Envelope>, Undecodable>,
    /// How often it was handed out, this time included.
    pub deliveries: u32,
    /// Names this delivery in [`Consumer::settle`].
    pub receipt: Receipt,
}

/// Names a delivery to the consumer that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub(crate) u64);

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Its effect is committed.
    Ack,
    /// Somebody takes it later.
    Retry,
    /// It can never take effect; the text says why, for the person who looks at dead letters.
    DeadLetter(String),
}

/// A message that nobody could handle, kept for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message; an error says why the bytes on the wire are none.
    pub envelope: Result<Arc<Envelope>, Undecodable>,
    /// Why it is here.
    pub reason: String,
    /// Since when, as far as the broker knows.
    pub since: Option<Timestamp>,
}

/// What became of a dead letter that was to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// It lies in its queue again.
    Sent(MessageId),
    /// It had to take effect before a moment that is past; it stays dead.
    Expired(MessageId),
    /// Its bytes are no message, so it would only die again; it stays dead.
    Unreadable(MessageId),
    /// No dead letter of this queue bears the id.
    Missing(MessageId),
}

/// Bytes that are no message of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{property} {problem}")]
pub struct Undecodable {
    /// The property that is missing or wrong.
    pub property: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Why a message was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue is bound to its kind. Trying again does not help: the row parks.
    #[error("no queue takes messages of this kind")]
    Unroutable,
    /// It can never be published as it is. Trying again does not help: the row parks.
    #[error("the message cannot be published: {0}")]
    Refused(String),
    /// No confirm: broker away, queue full, or a subscriber did not settle in time. The row stays, the relay tries again.
    #[error("not confirmed: {0}")]
    Unavailable(String),
}

/// The broker, or the way to it, is in trouble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, or the connection broke.
    #[error("{doing}: {reason}")]
    Unavailable {
        /// What was attempted.
        doing: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// Its address cannot be read.
    #[error("the broker's address cannot be read ({reason}); expected amqp://user:password@host:port/vhost")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// It does not know this queue: the topology was made without it.
    #[error("the broker has no queue {0:?}; declare it in topology.rs")]
    UnknownQueue(String),
}
