//! The post: a broker that confirms at once and keeps what is published.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use homeward_messaging::{Broker, BrokerError, Consumer, DeadLetter, Envelope, PublishError, QueueSpec, Redriven};
use homeward_types::{MessageId, Timestamp};

/// A broker that keeps what is published until somebody carries it.
#[derive(Default)]
pub struct Post {
    bag: Mutex<Vec<Arc<Envelope>>>,
    all: Mutex<Vec<Arc<Envelope>>>,
}

#[async_trait]
impl Broker for Post {
    fn system(&self) -> &'static str {
        "post"
    }
    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        let answers = batch.iter().map(|_| Ok(())).collect();
        self.all.lock().unwrap().extend(batch.iter().cloned());
        self.bag.lock().unwrap().extend(batch);
        answers
    }
    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        Err(BrokerError::UnknownQueue(queue.name.to_owned()))
    }
    async fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }
    async fn dead(&self, _: &QueueSpec, _: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        Ok(Vec::new())
    }
    async fn redrive(&self, _: &QueueSpec, _: &[MessageId], _: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        Ok(Vec::new())
    }
}

impl Post {
    /// Everything that was ever published.
    pub fn all(&self) -> Vec<Arc<Envelope>> {
        self.all.lock().unwrap().clone()
    }

    /// Everything that was published since the last time.
    pub fn take(&self) -> Vec<Arc<Envelope>> {
        std::mem::take(&mut self.bag.lock().unwrap())
    }
}
