//! What every played service has: the broker, and a way to send without being waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{Broker, Envelope};
use homeward_types::{Clock, ManualClock, MessageId};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Most messages of one publish.
const BATCH: usize = 500;

pub struct Stage {
    pub broker: Arc<dyn Broker>,
    pub clock: Arc<ManualClock>,
    numbers: AtomicI64,
    outgoing: mpsc::UnboundedSender<Arc<Envelope>>,
}

impl Stage {
    pub fn new(broker: Arc<dyn Broker>, clock: Arc<ManualClock>) -> Self {
        let (outgoing, mut taken) = mpsc::unbounded_channel();
        let publisher = broker.clone();
        tokio::spawn(async move {
            let mut batch = Vec::new();
            // In the order of sending, as an outbox does.
            while taken.recv_many(&mut batch, BATCH).await > 0 {
                publisher.publish(std::mem::take(&mut batch)).await;
            }
        });
        Self { broker, clock, numbers: AtomicI64::new(1), outgoing }
    }

    /// An event of another service.
    pub fn envelope(&self, kind: &str, about: Uuid, payload: &impl prost::Message) -> Envelope {
        Envelope {
            id: MessageId::new(&*self.clock),
            kind: kind.to_owned(),
            organisation: "acme".parse().unwrap(),
            correlation: about,
            causation: None,
            idempotency_key: format!("{about}.{kind}"),
            sender: kind.split('.').next().unwrap().to_owned(),
            sender_number: self.numbers.fetch_add(1, Ordering::SeqCst),
            entity_version: 0,
            trace: TraceContext::default(),
            at: self.clock.now(),
            expires_at: None,
            payload: payload.encode_to_vec().into(),
        }
    }

    /// Sends without waiting: a consumer that waited here would wait for itself.
    pub fn send(&self, kind: &str, about: Uuid, payload: &impl prost::Message) {
        self.outgoing.send(Arc::new(self.envelope(kind, about, payload))).unwrap();
    }
}
