//! A broker that remembers every message, and can keep some back as a slow one would.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use homeward_messaging::{Broker, BrokerError, Consumer, DeadLetter, Envelope, MemoryBroker, PublishError, QueueSpec, Redriven};
use homeward_proto::policy::v1::{IncidentOpened, Lease, LeaseChanged};
use homeward_types::{MessageId, Timestamp};
use prost::Message as _;
use tokio::sync::Notify;
use uuid::Uuid;

/// The in-process broker, watched.
pub struct Witness {
    inner: MemoryBroker,
    seen: Mutex<Seen>,
    news: Notify,
}

#[derive(Default)]
struct Seen {
    known: HashSet<MessageId>,
    messages: Vec<Arc<Envelope>>,
    /// Confirmed, and not delivered yet.
    held: Vec<Arc<Envelope>>,
    holds: Vec<Hold>,
}

/// Which messages are kept back.
#[derive(Clone, PartialEq, Eq)]
struct Hold {
    kind: &'static str,
    about: Option<Uuid>,
}

impl Hold {
    fn takes(&self, envelope: &Envelope) -> bool {
        envelope.kind == self.kind && self.about.is_none_or(|about| about == envelope.correlation)
    }
}

impl Witness {
    pub fn of(inner: MemoryBroker) -> Self {
        Self { inner, seen: Mutex::default(), news: Notify::new() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on messages of this kind are confirmed and not delivered.
    pub fn hold(&self, kind: &'static str, about: Option<Uuid>) {
        self.seen().holds.push(Hold { kind, about });
    }

    /// Delivers what was kept back, and keeps nothing back any more.
    pub async fn let_go(&self) {
        let held = {
            let mut seen = self.seen();
            seen.holds.clear();
            std::mem::take(&mut seen.held)
        };
        for answer in self.inner.publish(held).await {
            answer.unwrap();
        }
    }

    /// How many messages are kept back.
    pub fn held(&self) -> usize {
        self.seen().held.len()
    }

    /// All messages of kinds that begin so, in the order of their publishing.
    pub fn messages(&self, kind: &str) -> Vec<Arc<Envelope>> {
        self.seen().messages.iter().filter(|envelope| envelope.kind.starts_with(kind)).cloned().collect()
    }

    /// Everything that policy told of leases.
    pub fn leases(&self) -> Vec<Lease> {
        let told = self.messages("policy.event.lease-");
        told.iter().map(|envelope| LeaseChanged::decode(envelope.payload.clone()).unwrap().lease.unwrap()).collect()
    }

    /// Every incident that was told of.
    pub fn incidents(&self) -> Vec<IncidentOpened> {
        let told = self.messages("").into_iter().filter(|envelope| envelope.kind.ends_with(".incident-opened.v1"));
        told.map(|envelope| IncidentOpened::decode(envelope.payload.clone()).unwrap()).collect()
    }

    /// Waits for the next message.
    pub async fn next(&self, patience: std::time::Duration) {
        let _ = tokio::time::timeout(patience, self.news.notified()).await;
    }
}

#[async_trait]
impl Broker for Witness {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn check(&self) -> Result<(), BrokerError> {
        self.inner.check().await
    }

    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        let through: Vec<Arc<Envelope>> = {
            let mut seen = self.seen();
            let Seen { known, messages, held, holds } = &mut *seen;
            let kept = |envelope: &Arc<Envelope>| holds.iter().any(|hold| hold.takes(envelope));
            for envelope in &batch {
                if known.insert(envelope.id) {
                    messages.push(envelope.clone());
                }
            }
            held.extend(batch.iter().filter(|envelope| kept(envelope)).cloned());
            batch.iter().filter(|envelope| !kept(envelope)).cloned().collect()
        };
        let ids: HashSet<MessageId> = through.iter().map(|envelope| envelope.id).collect();
        let mut answers = self.inner.publish(through).await.into_iter();
        self.news.notify_waiters();
        let answer = |envelope: &Arc<Envelope>| {
            if ids.contains(&envelope.id) { answers.next().unwrap_or(Ok(())) } else { Ok(()) }
        };
        batch.iter().map(answer).collect()
    }

    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        self.inner.subscribe(queue).await
    }

    async fn dead(&self, queue: &QueueSpec, most: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        self.inner.dead(queue, most).await
    }

    async fn redrive(&self, queue: &QueueSpec, ids: &[MessageId], now: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        self.inner.redrive(queue, ids, now).await
    }
}
