//! One subscription: its own connection, so that its trouble is nobody else's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection};

use crate::broker::rabbit::link::{confirming, connect, publish_one, within};
use crate::broker::rabbit::{PATIENCE, Site, wire};
use crate::broker::{BrokerError, Consumer, Delivery, Receipt, Settle};
use crate::envelope::Envelope;
use crate::topology::{DEAD_EXCHANGE, QueueSpec};

/// Batches that lie ready while one is handled.
const BATCHES_AHEAD: usize = 3;

/// A subscription. Dropped, its connection closes, and what it had not settled goes back.
pub(super) struct RabbitConsumer {
    site: Site,
    queue: QueueSpec,
    connection: Connection,
    channel: Channel,
    deliveries: lapin::Consumer,
    /// For dead letters; opened with the first one.
    graves: Option<Channel>,
    /// By delivery tag: rising, in the order of delivery.
    unsettled: BTreeMap<u64, Kept>,
}

/// What a dead letter is made of.
enum Kept {
    Message(Arc<Envelope>),
    Undecodable(Box<BasicProperties>, Vec<u8>),
}

impl RabbitConsumer {
    pub(super) async fn open(site: &Site, queue: &QueueSpec) -> Result<Self, BrokerError> {
        let connection = connect(site).await?;
        let opening = async {
            let channel = connection.create_channel().await?;
            let prefetch = u16::try_from(queue.batch * BATCHES_AHEAD).unwrap_or(u16::MAX);
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let tag = "".into();
            let deliveries =
                channel.basic_consume(queue.name.into(), tag, BasicConsumeOptions::default(), FieldTable::default()).await?;
            Ok((channel, deliveries))
        };
        let (channel, deliveries) = within(PATIENCE, "subscribing", opening).await?;
        Ok(Self { site: site.clone(), queue: *queue, connection, channel, deliveries, graves: None, unsettled: BTreeMap::new() })
    }

    fn keep(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        let tag = delivery.delivery_tag;
        let deliveries = wire::deliveries(&delivery);
        let receipt = Receipt(tag);
        match wire::envelope(&delivery.properties, delivery.data) {
            Ok(envelope) => {
                let envelope = Arc::new(envelope);
                self.unsettled.insert(tag, Kept::Message(Arc::clone(&envelope)));
                Delivery { envelope: Ok(envelope), deliveries, receipt }
            }
            Err((error, data)) => {
                self.unsettled.insert(tag, Kept::Undecodable(Box::new(delivery.properties), data));
                Delivery { envelope: Err(error), deliveries, receipt }
            }
        }
    }

    /// Puts deliveries among the dead letters, each with its reason; only then they may be taken from their queue.
    async fn bury(&mut self, letters: &[(u64, String)]) -> Result<(), BrokerError> {
        if letters.is_empty() {
            return Ok(());
        }
        let graves = match self.graves.take() {
            Some(graves) => graves,
            None => confirming(&self.connection).await?,
        };
        let since = self.site.clock.now();
        let burying = letters.iter().filter_map(|(tag, reason)| {
            let (properties, payload) = match self.unsettled.get(tag)? {
                Kept::Message(envelope) => (wire::properties(envelope), &envelope.payload[..]),
                Kept::Undecodable(properties, data) => ((**properties).clone(), &data[..]),
            };
            Some(publish_one(&graves, DEAD_EXCHANGE, self.queue.name, payload, wire::buried(properties, reason, since)))
        });
        try_join_all(burying).await?;
        self.graves = Some(graves);
        Ok(())
    }

    /// Acknowledges: everything up to the first delivery that is not done in one frame, the rest one by one.
    async fn acknowledge(&mut self, mut done: Vec<u64>) -> Result<(), BrokerError> {
        done.sort_unstable();
        let together = done.iter().zip(self.unsettled.keys()).take_while(|(done, unsettled)| done == unsettled).count();
        let channel = &self.channel;
        let all = together.checked_sub(1).map(|last| channel.basic_ack(done[last], BasicAckOptions { multiple: true }));
        let single = done[together..].iter().map(|tag| channel.basic_ack(*tag, BasicAckOptions::default()));
        within(PATIENCE, "acknowledging", try_join_all(all.into_iter().chain(single))).await?;
        for tag in &done {
            self.unsettled.remove(tag);
        }
        Ok(())
    }

    async fn give_back(&mut self, tags: Vec<u64>) -> Result<(), BrokerError> {
        let requeue = BasicNackOptions { requeue: true, multiple: false };
        within(PATIENCE, "giving messages back", try_join_all(tags.iter().map(|tag| self.channel.basic_nack(*tag, requeue))))
            .await?;
        for tag in &tags {
            self.unsettled.remove(tag);
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next_batch(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        let lost = |reason: String| BrokerError::Unavailable { doing: "waiting for messages", reason };
        let mut batch = Vec::new();
        let mut next = Some(self.deliveries.next().await);
        // Nothing is awaited between here and the return, so dropping this future loses no delivery.
        while let Some(delivery) = next {
            match delivery {
                Some(Ok(delivery)) => batch.push(self.keep(delivery)),
                Some(Err(error)) => return Err(lost(error.to_string())),
                None => return Err(lost("RabbitMQ ended the subscription".to_owned())),
            }
            next = if batch.len() < most.max(1) { self.deliveries.next().now_or_never() } else { None };
        }
        Ok(batch)
    }

    async fn settle(&mut self, settlements: Vec<(Receipt, Settle)>) -> Result<(), BrokerError> {
        let (mut done, mut back, mut letters) = (Vec::new(), Vec::new(), Vec::new());
        for (Receipt(tag), how) in settlements {
            match how {
                Settle::Ack => done.push(tag),
                Settle::Retry => back.push(tag),
                Settle::DeadLetter(reason) => letters.push((tag, reason)),
            }
        }
        self.bury(&letters).await?;
        done.extend(letters.iter().map(|(tag, _)| *tag));
        self.give_back(back).await?;
        self.acknowledge(done).await
    }
}
