//! Looking at dead letters, and giving them back. Both take messages from the dead queue without acknowledging them; those
//! that stay dead return to it when the channel closes.

use std::collections::HashSet;
use std::sync::Arc;

use homeward_types::{MessageId, Timestamp};
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{Channel, Connection};

use crate::broker::rabbit::link::{confirming, connect, dead_queue, publish_one, within};
use crate::broker::rabbit::{PATIENCE, Site, wire};
use crate::broker::{BrokerError, DeadLetter, Redriven};
use crate::topology::QueueSpec;

/// The dead letters of a queue, oldest first.
pub(super) async fn list(site: &Site, queue: &QueueSpec, most: usize) -> Result<Vec<DeadLetter>, BrokerError> {
    let connection = connect(site).await?;
    let channel = channel(&connection).await?;
    let mut letters = Vec::new();
    while letters.len() < most {
        let Some(delivery) = next(&channel, queue).await? else { break };
        let (reason, since) = wire::epitaph(&delivery.properties);
        let envelope = wire::envelope(&delivery.properties, delivery.data).map(Arc::new).map_err(|(error, _)| error);
        letters.push(DeadLetter { envelope, reason, since });
    }
    close(&connection).await;
    Ok(letters)
}

/// Gives dead letters back to their queue, through no exchange, so that no other queue gets them again.
pub(super) async fn redrive(
    site: &Site,
    queue: &QueueSpec,
    ids: &[MessageId],
    now: Timestamp,
) -> Result<Vec<Redriven>, BrokerError> {
    let connection = connect(site).await?;
    let taking = channel(&connection).await?;
    let giving = confirming(&connection).await?;
    let mut wanted: HashSet<MessageId> = ids.iter().copied().collect();
    let mut redriven = Vec::new();
    while !wanted.is_empty() {
        let Some(delivery) = next(&taking, queue).await? else { break };
        let Some(id) = wire::message_id(&delivery.properties).filter(|id| wanted.remove(id)) else { continue };
        let Ok(envelope) = wire::envelope(&delivery.properties, delivery.data) else {
            // It would only die again.
            redriven.push(Redriven::Unreadable(id));
            continue;
        };
        if envelope.is_expired(now) {
            redriven.push(Redriven::Expired(id));
            continue;
        }
        publish_one(&giving, "", queue.name, &envelope.payload, wire::properties(&envelope)).await?;
        within(PATIENCE, "taking a dead letter away", taking.basic_ack(delivery.delivery_tag, BasicAckOptions::default()))
            .await?;
        redriven.push(Redriven::Sent(id));
    }
    redriven.extend(wanted.into_iter().map(Redriven::Missing));
    close(&connection).await;
    Ok(redriven)
}

async fn channel(connection: &Connection) -> Result<Channel, BrokerError> {
    within(PATIENCE, "opening a channel", connection.create_channel()).await
}

async fn next(channel: &Channel, queue: &QueueSpec) -> Result<Option<lapin::message::Delivery>, BrokerError> {
    let taken =
        within(PATIENCE, "reading dead letters", channel.basic_get(dead_queue(queue), BasicGetOptions::default())).await?;
    Ok(taken.map(|message| message.delivery))
}

/// So that what was only looked at is back in its queue when the caller looks again.
async fn close(connection: &Connection) {
    if let Err(error) = within(PATIENCE, "closing the connection", connection.close(200, "looked".into())).await {
        tracing::debug!(%error, "the connection for dead letters did not close in order");
    }
}
