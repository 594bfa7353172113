//! A batch of messages on its way from a decision to the broker.

use std::sync::Arc;

use homeward_store::{StoreError, Tx};
use homeward_types::{MessageId, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::envelope::{Envelope, NewMessage};
use crate::outbox::confirmed::Confirmed;
use crate::outbox::{Inner, store};

/// Messages that one transaction decides. Make it *inside* the transaction's body, which may run more than once,
/// and return it from there.
///
/// Dropped without [`Outbox::publish`](crate::Outbox::publish), it publishes nothing; if its transaction committed all the same, the relay does.
pub struct Batch {
    outbox: Arc<Inner>,
    messages: Vec<Envelope>,
    states: Vec<Option<&'static str>>,
    stored: Option<Claim>,
    /// Confirmed rows whose deletion rides in this batch's transaction.
    riding: Vec<Confirmed>,
}

/// How the rows were born.
enum Claim {
    /// Ours to publish until then, with room for them in memory.
    Ours(Timestamp, OwnedSemaphorePermit),
    /// Too much is under way: for the relay to take when there is room.
    Relays,
}

/// A row that is ours to publish.
pub(super) struct Row {
    pub(super) envelope: Arc<Envelope>,
    pub(super) claimed_until: Timestamp,
    pub(super) state: Option<&'static str>,
    pub(super) ticket: Option<Ticket>,
    /// Given back when the row leaves memory.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// Tells the writer what became of its messages; closed when the last of them is gone from memory.
pub(super) type Ticket = mpsc::UnboundedSender<(MessageId, Outcome)>;

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Confirmed,
    Parked,
}

impl Batch {
    pub(super) fn new(outbox: Arc<Inner>) -> Self {
        Self { outbox, messages: Vec::new(), states: Vec::new(), stored: None, riding: Vec::new() }
    }

    /// Adds a message and says its id.
    pub fn push(&mut self, message: NewMessage) -> MessageId {
        let id = MessageId::new(&*self.outbox.clock);
        self.states.push(message.state);
        self.messages.push(message.sealed(id, &self.outbox.service, self.outbox.clock.now()));
        self.stored = None;
        id
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Writes the messages in the transaction of their cause, and takes confirmed rows out in the same go.
    /// Does nothing for an empty batch.
    ///
    /// # Errors
    /// [`StoreError`] if the database refuses; the transaction must not be committed then.
    pub async fn store(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        self.stored = None;
        self.riding.append(&mut self.outbox.confirmed.take(store::RIDING));
        let numbers: Vec<i64> = self.riding.iter().map(|row| row.number).collect();
        store::delete(tx, &numbers).await?;
        let now = self.outbox.clock.now();
        let claim = match self.outbox.reserve(self.len()) {
            Some(room) => Claim::Ours(self.outbox.pace.claim_from(now), room),
            None => Claim::Relays,
        };
        let until = match &claim {
            Claim::Ours(until, _) => *until,
            Claim::Relays => now,
        };
        store::insert(tx, &mut self.messages, until).await?;
        self.stored = Some(claim);
        Ok(())
    }

    /// After the commit: the rows that are ours to publish, in order. `None` if a relay has to take them.
    pub(super) fn committed(mut self, ticket: Option<&Ticket>) -> Option<Vec<Row>> {
        let claim = self.stored.take()?;
        self.outbox.confirmed.deleted(&std::mem::take(&mut self.riding));
        let Claim::Ours(claimed_until, mut room) = claim else { return None };
        let messages = std::mem::take(&mut self.messages);
        let rows = messages.into_iter().zip(std::mem::take(&mut self.states)).map(|(envelope, state)| Row {
            envelope: Arc::new(envelope),
            claimed_until,
            state,
            ticket: ticket.cloned(),
            _room: room.split(1),
        });
        Some(rows.collect())
    }

    pub(super) fn ids(&self) -> Vec<MessageId> {
        self.messages.iter().map(|envelope| envelope.id).collect()
    }
}

impl Drop for Batch {
    /// Its transaction was undone: the deletions that rode in it are still to be done.
    fn drop(&mut self) {
        self.outbox.confirmed.give_back(std::mem::take(&mut self.riding));
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.messages.len())
            .field("stored", &self.stored.is_some())
            .finish_non_exhaustive()
    }
}
