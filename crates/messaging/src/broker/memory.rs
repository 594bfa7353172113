//! The in-process broker: embedded is as durable as distributed, because the durable copy stays in the outbox.
//!
//! - A publish is confirmed only after every bound queue's consumer has committed the message and acknowledged it; one that
//!   became a dead letter counts as settled once its row is committed. If the process dies before, the outbox row is still
//!   there, and the relay of the next start publishes it again.
//! - A message that it still holds is not taken a second time: the second publish waits with the first.
//! - Queues are bounded. A full one, or a subscriber that does not settle in time (or is not there yet), leaves the row in the
//!   outbox; a message that was taken stays in its queue, and a later publish of it finds it there or settled.
//! - Nobody who must acknowledge may wait for a publish (see [`crate::outbox`]); so a circle of services cannot stand still.

mod consumer;
mod queue;
mod store;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use homeward_store::{Database, Migrations, StoreError, migrations};
use homeward_types::{Clock, MessageId, Timestamp};

use crate::broker::{Broker, BrokerError, Consumer, DeadLetter, PublishError, Redriven};
use crate::envelope::Envelope;
use crate::topology::QueueSpec;
use consumer::MemoryConsumer;
use queue::{Item, Queues};
use wait::Wait;

/// The table of dead letters.
const TABLES: Migrations = migrations!("dead-letter", ["0001_dead_letter"]);

/// How long a publish waits for the subscribers. Half a claim: the writer still holds its rows when the answer comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The in-process broker. Cheap to clone; clones share the queues.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Inner>);

struct Inner {
    queues: Queues,
    /// Dead letters outlive the process.
    db: Database,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl MemoryBroker {
    /// A broker with these queues, nothing in them, and its dead letters in this database.
    ///
    /// # Errors
    /// [`StoreError`] if the table for dead letters cannot be made.
    pub async fn open(queues: &[QueueSpec], db: Database, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with_patience(queues, db, clock, PATIENCE).await
    }

    /// As [`MemoryBroker::open`], with another time that a publish waits for the subscribers.
    ///
    /// # Errors
    /// [`StoreError`] if the table for dead letters cannot be made.
    pub async fn open_with_patience(
        queues: &[QueueSpec],
        db: Database,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        db.migrate(&[TABLES]).await?;
        Ok(Self(Arc::new(Inner { queues: Queues::new(queues), db, clock, patience })))
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn system(&self) -> &'static str {
        "homeward-in-process"
    }

    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        let wait = Wait::new(batch.len());
        self.0.queues.add(&batch, &wait);
        let in_time = tokio::time::timeout(self.0.patience, wait.over()).await;
        if in_time.is_err() {
            self.0.queues.give_up(&batch, &wait, self.0.patience);
        }
        wait.answers()
    }

    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        let at = self.0.queues.find(queue)?;
        Ok(Box::new(MemoryConsumer::new(Arc::clone(&self.0), at)))
    }

    /// Nothing lies between us and it but the database of dead letters.
    async fn check(&self) -> Result<(), BrokerError> {
        self.0.db.ping().await.map_err(|error| broken("asking for an answer", &error))
    }

    async fn dead(&self, queue: &QueueSpec, most: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        self.0.queues.find(queue)?;
        store::list(&self.0.db, queue.name, most).await.map_err(|error| broken("reading dead letters", &error))
    }

    /// The row stays until the message is settled: a crash in between leaves it dead.
    async fn redrive(&self, queue: &QueueSpec, ids: &[MessageId], now: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        let at = self.0.queues.find(queue)?;
        let found = store::find(&self.0.db, queue.name, ids).await.map_err(|error| broken("reading dead letters", &error))?;
        let mut redriven = Vec::with_capacity(ids.len());
        let mut alive = Vec::new();
        for id in ids {
            redriven.push(match found.get(id) {
                None => Redriven::Missing(*id),
                Some(envelope) if envelope.is_expired(now) => Redriven::Expired(*id),
                Some(envelope) => {
                    alive.push(Item::risen(Arc::clone(envelope)));
                    Redriven::Sent(*id)
                }
            });
        }
        self.0.queues.rise(at, alive);
        Ok(redriven)
    }
}

/// The database of dead letters is in trouble, and with it the broker.
fn broken(doing: &'static str, error: &StoreError) -> BrokerError {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    BrokerError::Unavailable { doing, reason: format!("{error}{cause}") }
}
