//! Messages and queues for tests, and waiting for a condition.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::broker::Broker;
use homeward_messaging::{Envelope, NewMessage, PublishError, QueueSpec};
use homeward_types::{Clock, MessageId, SystemClock, Timestamp};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// One queue for commands.
pub const WORK: QueueSpec = QueueSpec { batch: 8, ..QueueSpec::new("test.work", &["test.command.*.v1"]) };
/// Two that get the same events.
pub const EVENTS: QueueSpec = QueueSpec::new("test.events", &["test.event.*.v1"]);
/// The other of them.
pub const COPY: QueueSpec = QueueSpec::new("test.copy", &["test.event.#"]);
/// One that is full soon.
pub const NARROW: QueueSpec = QueueSpec { held: 3, length: 3, ..QueueSpec::new("test.narrow", &["test.narrow.*.v1"]) };
/// One that gives a message up soon.
pub const LIMITED: QueueSpec = QueueSpec { delivery_limit: 2, ..QueueSpec::new("test.limited", &["test.limited.*.v1"]) };
/// All of them.
pub const QUEUES: &[QueueSpec] = &[WORK, EVENTS, COPY, NARROW, LIMITED];

/// Longer than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// A message as an outbox would send it, with every field in use.
pub fn envelope(kind: &str, number: i64) -> Arc<Envelope> {
    let at = SystemClock.now();
    Arc::new(Envelope {
        id: MessageId::new(&SystemClock),
        kind: kind.to_owned(),
        organisation: "acme".parse().unwrap(),
        correlation: Uuid::new_v4(),
        causation: Some(MessageId::new(&SystemClock)),
        idempotency_key: format!("key-{number}"),
        sender: "test".to_owned(),
        sender_number: number,
        entity_version: number + 1,
        trace: TraceContext {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            tracestate: "vendor=value".to_owned(),
        },
        at,
        expires_at: Some(at + Duration::from_mins(15)),
        payload: Bytes::from(format!("payload {number}")),
    })
}

/// As [`envelope`], with another expiry.
pub fn expiring(kind: &str, number: i64, expires_at: Option<Timestamp>) -> Arc<Envelope> {
    Arc::new(Envelope { expires_at, ..(*envelope(kind, number)).clone() })
}

/// A message for an outbox.
pub fn message(kind: &str, key: &str) -> NewMessage {
    NewMessage {
        kind: kind.to_owned(),
        organisation: "acme".parse().unwrap(),
        correlation: Uuid::new_v4(),
        causation: None,
        idempotency_key: key.to_owned(),
        entity_version: 1,
        trace: TraceContext::default(),
        expires_at: None,
        payload: Bytes::from_static(b"payload"),
        state: None,
    }
}

/// Publishes without waiting: in one process the confirm comes only after the consumer's acknowledgement.
pub fn publish(broker: &Arc<dyn Broker>, batch: Vec<Arc<Envelope>>) -> JoinHandle<Vec<Result<(), PublishError>>> {
    let broker = Arc::clone(broker);
    tokio::spawn(async move { broker.publish(batch).await })
}

/// Waits until `condition` holds.
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "not within {DEADLINE:?}: {what}");
}

/// Bounds a wait.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(DEADLINE, work).await else { panic!("not within {DEADLINE:?}: {what}") };
    done
}
