//! A connection, and the topology that is declared on each new one.

use std::time::Duration;

use futures_util::TryFutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};

use crate::broker::BrokerError;
use crate::broker::rabbit::{PATIENCE, Site};
use crate::topology::{DEAD_EXCHANGE, EXCHANGE, QueueSpec};

/// Building the topology of a new broker takes longer than an answer: every quorum queue elects a leader.
const DECLARING: Duration = Duration::from_secs(30);

/// Looking at dead letters hands them out; that must not bring them to a limit (`RabbitMQ` 4 has one by default).
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000;

/// Bounds a step, and says what it was when it fails.
pub(super) async fn within<T>(
    patience: Duration,
    doing: &'static str,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    let unavailable = |reason: String| BrokerError::Unavailable { doing, reason };
    match tokio::time::timeout(patience, step).await {
        Ok(done) => done.map_err(|error| unavailable(error.to_string())),
        Err(_) => Err(unavailable(format!("no answer from RabbitMQ within {patience:?}"))),
    }
}

/// A connection to a broker with the whole topology.
pub(super) async fn connect(site: &Site) -> Result<Connection, BrokerError> {
    let properties = ConnectionProperties::default().with_connection_name(site.name.clone().into());
    let connecting = async {
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connect_uri_with_config(site.uri.clone(), properties, site.tls.clone(), runtime).await
    };
    let connection = within(PATIENCE, "connecting", connecting).await?;
    if site.declares {
        within(DECLARING, "declaring the topology", declare(&connection, &site.queues)).await?;
    } else {
        within(DECLARING, "looking for the topology (`homeward migrate` declares it)", look(&connection, &site.queues)).await?;
    }
    Ok(connection)
}

/// A channel on which publishes are confirmed.
pub(super) async fn confirming(connection: &Connection) -> Result<Channel, BrokerError> {
    let opening = connection.create_channel().and_then(|channel| async move {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    });
    within(PATIENCE, "opening a channel", opening).await
}

/// Publishes one message to one queue's path and waits for its confirm.
pub(super) async fn publish_one(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    payload: &[u8],
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let publishing =
        async { channel.basic_publish(exchange.into(), routing_key.into(), options, payload, properties).await?.await };
    let refused = |reason: &str| Err(BrokerError::Unavailable { doing: "publishing to a queue", reason: reason.to_owned() });
    match within(PATIENCE, "publishing to a queue", publishing).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => refused("the queue is not bound"),
        Confirmation::Nack(_) => refused("RabbitMQ refused it; perhaps the queue is full"),
        Confirmation::NotRequested => refused("the channel does not confirm"),
    }
}

async fn declare(connection: &Connection, queues: &[QueueSpec]) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    channel.exchange_declare(DEAD_EXCHANGE.into(), ExchangeKind::Direct, durable, FieldTable::default()).await?;
    for queue in queues {
        declare_queue(&channel, queue).await?;
    }
    channel.close(200, "declared".into()).await
}

/// Fails if something is missing. Needs no right but to connect.
async fn look(connection: &Connection, queues: &[QueueSpec]) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let exchange = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, exchange, FieldTable::default()).await?;
    channel.exchange_declare(DEAD_EXCHANGE.into(), ExchangeKind::Direct, exchange, FieldTable::default()).await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    for queue in queues {
        channel.queue_declare(dead_queue(queue), passive, FieldTable::default()).await?;
        channel.queue_declare(queue.name.into(), passive, FieldTable::default()).await?;
    }
    channel.close(200, "looked".into()).await
}

async fn declare_queue(channel: &Channel, queue: &QueueSpec) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let dead = dead_queue(queue);
    channel.queue_declare(dead.clone(), durable, dead_arguments()).await?;
    channel.queue_bind(dead, DEAD_EXCHANGE.into(), queue.name.into(), QueueBindOptions::default(), FieldTable::default()).await?;
    channel.queue_declare(queue.name.into(), durable, arguments(queue)).await?;
    for binding in queue.bindings {
        channel
            .queue_bind(queue.name.into(), EXCHANGE.into(), (*binding).into(), QueueBindOptions::default(), FieldTable::default())
            .await?;
    }
    Ok(())
}

/// Where a queue's dead letters lie.
pub(super) fn dead_queue(queue: &QueueSpec) -> ShortString {
    format!("{}.dead", queue.name).into()
}

/// A dead letter leaves its queue only once the dead queue has it; a full queue refuses new messages instead of dropping old ones.
fn arguments(queue: &QueueSpec) -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongInt(i32::try_from(queue.delivery_limit).unwrap_or(i32::MAX))),
        ("x-max-length", AMQPValue::LongLongInt(queue.length.into())),
        ("x-overflow", text("reject-publish")),
        ("x-dead-letter-exchange", text(DEAD_EXCHANGE)),
        ("x-dead-letter-routing-key", text(queue.name)),
        ("x-dead-letter-strategy", text("at-least-once")),
    ])
}

fn dead_arguments() -> FieldTable {
    table([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongInt(DEAD_DELIVERY_LIMIT))])
}

fn table<const N: usize>(arguments: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
