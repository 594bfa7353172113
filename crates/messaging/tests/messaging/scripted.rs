//! A broker that answers as a test tells it to, and remembers what it was asked.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_messaging::{Broker, BrokerError, Consumer, DeadLetter, Envelope, PublishError, QueueSpec, Redriven};
use homeward_types::{MessageId, Timestamp};
use tokio::sync::Semaphore;

/// How it answers to messages whose kind begins so.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Confirms.
    Confirm,
    /// Confirms after a while.
    ConfirmAfter(Duration),
    /// Confirms once the gate is open.
    ConfirmWhen(Arc<Semaphore>),
    /// Never answers.
    Silence,
    /// Says no.
    Fail(PublishError),
}

/// The broker.
#[derive(Default)]
pub struct Scripted {
    answers: Mutex<Vec<(String, Answer)>>,
    /// How often each message was published.
    published: Mutex<HashMap<MessageId, usize>>,
    /// The sizes of the batches, in order.
    batches: Mutex<Vec<usize>>,
    flying: Mutex<HashSet<MessageId>>,
    /// How often a message was published while it was being published.
    twice: AtomicUsize,
}

impl Scripted {
    /// A broker that confirms everything.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on, kinds with this prefix get this answer. The latest matching rule counts.
    pub fn answer(&self, prefix: &str, answer: Answer) {
        self.answers.lock().unwrap().push((prefix.to_owned(), answer));
    }

    /// How often a message was published.
    pub fn times(&self, id: MessageId) -> usize {
        self.published.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    /// How many messages were published at least once.
    pub fn distinct(&self) -> usize {
        self.published.lock().unwrap().len()
    }

    /// How many publishes there were, repeats included.
    pub fn total(&self) -> usize {
        self.published.lock().unwrap().values().sum()
    }

    /// The sizes of the batches, in order.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    /// How often a message was published while it was being published.
    pub fn twice_at_once(&self) -> usize {
        self.twice.load(Ordering::SeqCst)
    }

    fn answer_to(&self, envelope: &Envelope) -> Answer {
        let answers = self.answers.lock().unwrap();
        let rule = answers.iter().rev().find(|(prefix, _)| envelope.kind.starts_with(prefix.as_str()));
        rule.map_or(Answer::Confirm, |(_, answer)| answer.clone())
    }
}

#[async_trait]
impl Broker for Scripted {
    fn system(&self) -> &'static str {
        "scripted"
    }

    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        self.batches.lock().unwrap().push(batch.len());
        let flight = Flight { broker: self, batch };
        let mut answers = Vec::new();
        for envelope in &flight.batch {
            *self.published.lock().unwrap().entry(envelope.id).or_default() += 1;
            if !self.flying.lock().unwrap().insert(envelope.id) {
                self.twice.fetch_add(1, Ordering::SeqCst);
            }
        }
        tokio::task::yield_now().await;
        for envelope in &flight.batch {
            answers.push(match self.answer_to(envelope) {
                Answer::Confirm => Ok(()),
                Answer::ConfirmAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    Ok(())
                }
                Answer::ConfirmWhen(gate) => {
                    drop(gate.acquire().await);
                    Ok(())
                }
                Answer::Silence => std::future::pending().await,
                Answer::Fail(error) => Err(error),
            });
        }
        answers
    }

    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        Err(BrokerError::UnknownQueue(queue.name.to_owned()))
    }

    async fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn dead(&self, queue: &QueueSpec, _most: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        Err(BrokerError::UnknownQueue(queue.name.to_owned()))
    }

    async fn redrive(&self, queue: &QueueSpec, _ids: &[MessageId], _now: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        Err(BrokerError::UnknownQueue(queue.name.to_owned()))
    }
}

/// A batch that is being published.
struct Flight<'a> {
    broker: &'a Scripted,
    batch: Vec<Arc<Envelope>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flying = self.broker.flying.lock().unwrap();
        for envelope in &self.batch {
            flying.remove(&envelope.id);
        }
    }
}
