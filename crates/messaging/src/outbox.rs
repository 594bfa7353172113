//! The outbox: messages commit with their cause, leave right after, and stay until the broker confirmed them.
//!
//! - Rows are born claimed by their writer. [`Outbox::publish`] hands them to the [`Outbox::run`] task, which publishes
//!   what has gathered for a destination in one go, so that many small transactions share one wait for the confirms.
//! - Confirmed rows are deleted by the next transaction that stores messages anyway, else by the sweeper a moment later.
//! - The relay takes rows whose claim has expired: their writer died, the broker was away, or memory was full.
//! - A consuming loop never waits for a confirm. In one process that would be a circle: the confirm waits for another
//!   consumer's commit and acknowledgement, which would wait for ours. So `publish` returns at once; only callers that
//!   nobody waits for in turn (a request's handler, a worker) may use [`Outbox::publish_confirmed`].

mod batch;
mod confirmed;
mod lag;
mod lanes;
mod publisher;
mod relay;
mod store;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use homeward_store::{Database, Migrations, StoreError, migrations, transaction};
use homeward_types::limits::after;
use homeward_types::{Clock, MessageId, Timestamp};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
pub use batch::Batch;
use batch::Outcome;
use confirmed::ConfirmedRows;
use lanes::Lanes;
pub use store::{Backlog, Parked};

/// The tables of the outbox, for every service's own database.
pub const MIGRATIONS: Migrations = migrations!("messaging", ["0001_outbox", "0002_heard_sender"]);

/// Times and sizes. [`Pace::default`] is right for production; tests shorten it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How long a writer or relay has the sole right to publish a row. Default 10 s: a writer that died is noticed soon.
    pub claim: Duration,
    /// How often the claim on rows that are being published is renewed. Default 3 s.
    pub renew: Duration,
    /// How long a row rests after the broker did not confirm it. Default 1 s.
    pub retry: Duration,
    /// How often the relay looks for expired claims by itself. Default 1 s.
    pub poll: Duration,
    /// How long confirmed rows wait for a transaction that takes them out in passing. Default 50 ms.
    pub sweep: Duration,
    /// Most rows of one outbox in memory; further ones are left to the relay. Default 8,192.
    pub in_memory: usize,
    /// Most rows that are published in one go. Default 500.
    pub flight: usize,
    /// Most flights under way for one destination. Default 16: what a silent subscriber may hold up.
    pub flights: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            claim: Duration::from_secs(10),
            renew: Duration::from_secs(3),
            retry: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            sweep: Duration::from_millis(50),
            in_memory: 8_192,
            flight: 500,
            flights: 16,
        }
    }
}

impl Pace {
    fn claim_from(&self, now: Timestamp) -> Timestamp {
        after(now, self.claim)
    }
}

/// What became of a batch, as far as its publisher waited for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The broker has them; in one process: every subscriber has committed them.
    pub confirmed: Vec<MessageId>,
    /// They wait for a person.
    pub parked: Vec<MessageId>,
    /// Not confirmed yet. They lie in the outbox, and the relay goes on with them.
    pub waiting: Vec<MessageId>,
}

/// A service's outbox. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    db: Database,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    service: String,
    pace: Pace,
    lanes: Arc<Lanes>,
    confirmed: ConfirmedRows,
    /// One permit for each row that may be in memory.
    room: Arc<Semaphore>,
    /// There is something for the relay.
    relay: Notify,
    /// There are confirmed rows to delete.
    sweep: Notify,
    /// Counts flights that confirmed something.
    confirmations: watch::Sender<u64>,
}

impl Outbox {
    /// The outbox in this database, whose messages name `service` as their sender. Nothing leaves it before [`Outbox::run`].
    pub fn new(db: Database, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>, service: impl Into<String>) -> Self {
        Self::with_pace(db, broker, clock, service, Pace::default())
    }

    /// As [`Outbox::new`], at another pace.
    pub fn with_pace(
        db: Database,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        service: impl Into<String>,
        pace: Pace,
    ) -> Self {
        Self(Arc::new(Inner {
            db,
            broker,
            clock,
            service: service.into(),
            lanes: Arc::default(),
            confirmed: ConfirmedRows::default(),
            room: Arc::new(Semaphore::new(pace.in_memory)),
            relay: Notify::new(),
            sweep: Notify::new(),
            confirmations: watch::Sender::new(0),
            pace,
        }))
    }

    /// An empty batch. Make it inside the transaction's body.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.0))
    }

    /// Publishes a batch whose transaction is committed. Returns at once; what the broker does not confirm now, the relay publishes later.
    pub fn publish(&self, batch: Batch) {
        self.enqueue(batch, None);
    }

    /// As [`Outbox::publish`], and waits until every message is confirmed or parked, or could not be confirmed for now.
    ///
    /// Never call it from a message handler: in one process the confirm may wait for that very handler.
    pub async fn publish_confirmed(&self, batch: Batch) -> Published {
        let ids = batch.ids();
        let (ticket, mut outcomes) = mpsc::unbounded_channel();
        self.enqueue(batch, Some(&ticket));
        // Closed when the last row is gone from memory.
        drop(ticket);
        let mut published = Published::default();
        // Bounded also where nothing runs the outbox: after that time the rows are the relay's in any case.
        let patience = tokio::time::sleep(self.0.pace.claim);
        tokio::pin!(patience);
        loop {
            let outcome = tokio::select! {
                outcome = outcomes.recv() => outcome,
                () = &mut patience => None,
            };
            match outcome {
                Some((id, Outcome::Confirmed)) => published.confirmed.push(id),
                Some((id, Outcome::Parked)) => published.parked.push(id),
                None => break,
            }
        }
        let settled: HashSet<&MessageId> = published.confirmed.iter().chain(&published.parked).collect();
        published.waiting = ids.into_iter().filter(|id| !settled.contains(id)).collect();
        published
    }

    fn enqueue(&self, batch: Batch, ticket: Option<&batch::Ticket>) {
        if batch.is_empty() {
            return;
        }
        match batch.committed(ticket) {
            Some(rows) => self.0.lanes.add(rows),
            None => self.0.relay.notify_one(),
        }
    }

    /// Which of these messages the broker has confirmed. Ask only for messages whose transaction is known to be committed:
    /// one that was never stored looks like one that was confirmed.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read.
    pub async fn confirmed(&self, ids: &[MessageId]) -> Result<HashSet<MessageId>, StoreError> {
        // Memory first: a row that is deleted in between is then simply absent.
        let in_memory = self.0.confirmed.among(ids);
        let unknown: Vec<MessageId> = ids.iter().filter(|id| !in_memory.contains(id)).copied().collect();
        let present = store::present(&self.0.db, &unknown).await?;
        Ok(ids.iter().filter(|id| in_memory.contains(id) || !present.contains(id)).copied().collect())
    }

    /// Changes whenever the broker has confirmed something: what waits for [`Outbox::confirmed`] looks again then.
    pub fn confirmations(&self) -> watch::Receiver<u64> {
        self.0.confirmations.subscribe()
    }

    /// The highest number ever given in this database, 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read.
    pub async fn last_number(&self) -> Result<i64, StoreError> {
        store::last_number(&self.0.db).await
    }

    /// Numbers go on above `number`: what neighbours heard of this database before it was restored from a backup.
    ///
    /// # Errors
    /// [`StoreError`] if the database refuses.
    pub async fn go_on_above(&self, number: i64) -> Result<(), StoreError> {
        store::go_on_above(&self.0.db, number).await
    }

    /// How much is waiting, for metrics and readiness.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        store::backlog(&self.0.db).await
    }

    /// Messages that wait for a person, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read.
    pub async fn parked(&self, most: usize) -> Result<Vec<Parked>, StoreError> {
        store::parked(&self.0.db, &self.0.service, most).await
    }

    /// Publishes parked messages again, once their cause is mended. Says how many of these were parked.
    ///
    /// # Errors
    /// [`StoreError`] if the database refuses.
    pub async fn unpark(&self, ids: &[MessageId]) -> Result<u64, StoreError> {
        let now = self.0.clock.now();
        let changed = transaction!(self.0.db, "outbox.unpark", async |tx| -> Result<u64, StoreError> {
            store::unpark(tx, ids, now).await
        })?;
        self.0.relay.notify_one();
        Ok(changed)
    }

    /// Publishes, relays and sweeps until the shutdown. Run it once for each service, after telemetry was set up.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = publisher::run(&self.0) => {}
            () = relay::run(&self.0) => {}
            () = publisher::sweep(&self.0) => {}
            () = lag::watch(&self.0) => {}
        }
        // Saves the next start from publishing again what was confirmed just now.
        publisher::delete_confirmed(&self.0).await;
    }
}

impl Inner {
    /// Room in memory for so many rows, if there is.
    fn reserve(&self, rows: usize) -> Option<OwnedSemaphorePermit> {
        let rows = u32::try_from(rows).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(rows).ok()
    }
}
