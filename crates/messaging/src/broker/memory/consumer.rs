//! One subscription to a queue in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use homeward_types::MessageId;

use crate::broker::memory::queue::Item;
use crate::broker::memory::{Inner, broken, store};
use crate::broker::{BrokerError, Consumer, Delivery, Receipt, Settle};

/// Holds what it has handed out until it is settled; dropped, it gives it back.
pub(super) struct MemoryConsumer {
    broker: Arc<Inner>,
    queue: usize,
    /// By receipt, so in the order of delivery.
    unsettled: BTreeMap<u64, Item>,
    next_receipt: u64,
    /// Handed out too often: to become dead letters before anything else is taken.
    exhausted: Vec<u64>,
}

impl MemoryConsumer {
    pub(super) fn new(broker: Arc<Inner>, queue: usize) -> Self {
        Self { broker, queue, unsettled: BTreeMap::new(), next_receipt: 0, exhausted: Vec::new() }
    }

    fn keep(&mut self, item: Item) -> u64 {
        let receipt = self.next_receipt;
        self.next_receipt += 1;
        self.unsettled.insert(receipt, item);
        receipt
    }

    /// The backstop: a message that came back too often is not handed out again.
    async fn bury_exhausted(&mut self) -> Result<(), BrokerError> {
        if self.exhausted.is_empty() {
            return Ok(());
        }
        let limit = self.broker.queues.spec(self.queue).delivery_limit;
        let reason = format!("came back more than {limit} times without being settled");
        let graves = self.exhausted.iter().map(|receipt| (*receipt, reason.clone())).collect();
        self.bury(graves).await?;
        self.exhausted.clear();
        Ok(())
    }

    /// Makes dead letters of deliveries, which settles them.
    async fn bury(&mut self, graves: Vec<(u64, String)>) -> Result<(), BrokerError> {
        let queue = self.broker.queues.spec(self.queue).name;
        let dead: Vec<_> = graves
            .iter()
            .filter_map(|(receipt, reason)| self.unsettled.get(receipt).map(|item| (Arc::clone(&item.envelope), reason.as_str())))
            .collect();
        let since = self.broker.clock.now();
        store::insert(&self.broker.db, queue, &dead, since).await.map_err(|error| broken("writing dead letters", &error))?;
        let ids: Vec<MessageId> =
            graves.iter().filter_map(|(receipt, _)| self.unsettled.remove(receipt)).map(|item| item.envelope.id).collect();
        self.broker.queues.settled(self.queue, &ids);
        Ok(())
    }

    /// Settles what is committed. Dead letters that went through at last are dead no more.
    async fn acknowledge(&mut self, receipts: &[u64]) -> Result<(), BrokerError> {
        let risen: Vec<MessageId> = receipts
            .iter()
            .filter_map(|receipt| self.unsettled.get(receipt))
            .filter(|item| item.risen)
            .map(|item| item.envelope.id)
            .collect();
        if !risen.is_empty() {
            let queue = self.broker.queues.spec(self.queue).name;
            store::delete(&self.broker.db, queue, &risen).await.map_err(|error| broken("deleting dead letters", &error))?;
        }
        let ids: Vec<MessageId> =
            receipts.iter().filter_map(|receipt| self.unsettled.remove(receipt)).map(|item| item.envelope.id).collect();
        self.broker.queues.settled(self.queue, &ids);
        Ok(())
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next_batch(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.bury_exhausted().await?;
            let limit = self.broker.queues.spec(self.queue).delivery_limit;
            let taken = self.broker.queues.take(self.queue, most).await;
            let mut deliveries = Vec::with_capacity(taken.len());
            for item in taken {
                let (envelope, count) = (Arc::clone(&item.envelope), item.deliveries);
                let receipt = self.keep(item);
                if count > limit.saturating_add(1) {
                    self.exhausted.push(receipt);
                } else {
                    deliveries.push(Delivery { envelope: Ok(envelope), deliveries: count, receipt: Receipt(receipt) });
                }
            }
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
    }

    async fn settle(&mut self, settlements: Vec<(Receipt, Settle)>) -> Result<(), BrokerError> {
        let (mut done, mut back, mut graves) = (Vec::new(), Vec::new(), Vec::new());
        for (Receipt(receipt), how) in settlements {
            match how {
                Settle::Ack => done.push(receipt),
                Settle::Retry => back.extend(self.unsettled.remove(&receipt)),
                Settle::DeadLetter(reason) => graves.push((receipt, reason)),
            }
        }
        self.broker.queues.put_back(self.queue, back);
        self.acknowledge(&done).await?;
        if graves.is_empty() { Ok(()) } else { self.bury(graves).await }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.broker.queues.put_back(self.queue, std::mem::take(&mut self.unsettled).into_values().collect());
    }
}
