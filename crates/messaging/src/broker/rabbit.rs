//! The broker of the distributed form: `RabbitMQ` by AMQP 0.9.1, over lapin.
//!
//! - Quorum queues with every argument declared; a publish is confirmed once a majority of the broker's nodes has it on disk.
//! - Nothing recovers by itself: on any error, or five seconds of silence, a connection is dropped and the next caller builds
//!   a new one and declares the whole topology again. (lapin's own recovery was seen to hang for ever; `reference/stack.md`.)
//! - A service whose broker user may not configure anything looks only whether the topology is there.
//! - The publisher has one connection; each consumer has its own.

mod consumer;
mod dead;
mod link;
mod publisher;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use homeward_types::{Clock, MessageId, Timestamp};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;

use crate::broker::{Broker, BrokerError, Consumer, DeadLetter, PublishError, Redriven};
use crate::envelope::Envelope;
use crate::topology::QueueSpec;
use consumer::RabbitConsumer;
use publisher::Publisher;

/// How long anything that the broker is asked may take. Half a claim: the writer still holds its rows when the answer comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the broker is, and what is declared there.
#[derive(Clone)]
struct Site {
    uri: AMQPUri,
    queues: Arc<[QueueSpec]>,
    /// The connection's name, as the management page shows it.
    name: String,
    clock: Arc<dyn Clock>,
    /// Whose certificates are believed besides those that the system believes.
    tls: OwnedTLSConfig,
    /// Whether each connection declares the topology, or only looks whether it is there.
    declares: bool,
}

/// `RabbitMQ`. Connects when it is first used.
pub struct RabbitBroker {
    site: Site,
    publisher: Publisher,
}

impl RabbitBroker {
    /// The broker at `amqp://user:password@host:port/vhost` (or `amqps://`), with these queues. `name` is what the management page shows.
    ///
    /// # Errors
    /// [`BrokerError::Address`] if the address cannot be read. It is not repeated, because it may hold a password.
    pub fn new(address: &str, queues: &[QueueSpec], name: impl Into<String>, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = address.parse().map_err(|reason: String| BrokerError::Address { reason })?;
        // Silence is noticed within two heartbeats; seconds and milliseconds.
        uri.query.heartbeat.get_or_insert(5);
        uri.query.connection_timeout.get_or_insert(3_000);
        let site = Site { uri, queues: queues.into(), name: name.into(), clock, tls: OwnedTLSConfig::default(), declares: true };
        Ok(Self { publisher: Publisher::new(site.clone()), site })
    }

    /// Believes the certificates of this authority, PEM, for `amqps://` with a private one.
    #[must_use]
    pub fn trusting(self, authority: String) -> Self {
        self.on(|site| site.tls.cert_chain = Some(authority))
    }

    /// Declares nothing, and only looks whether the topology is there: for a user without the right to configure. Somebody
    /// else must have declared it: `homeward migrate`.
    #[must_use]
    pub fn without_declaring(self) -> Self {
        self.on(|site| site.declares = false)
    }

    fn on(mut self, change: impl FnOnce(&mut Site)) -> Self {
        change(&mut self.site);
        self.publisher = Publisher::new(self.site.clone());
        self
    }

    /// Connects and declares the topology now, for a start that says at once what is wrong.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] if that fails.
    pub async fn connect(&self) -> Result<(), BrokerError> {
        self.publisher.connect().await
    }

    fn known(&self, queue: &QueueSpec) -> Result<(), BrokerError> {
        let known = self.site.queues.iter().any(|spec| spec.name == queue.name);
        if known { Ok(()) } else { Err(BrokerError::UnknownQueue(queue.name.to_owned())) }
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    fn system(&self) -> &'static str {
        "rabbitmq"
    }

    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        self.publisher.publish(&batch).await
    }

    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        self.known(queue)?;
        Ok(Box::new(RabbitConsumer::open(&self.site, queue).await?))
    }

    async fn check(&self) -> Result<(), BrokerError> {
        self.publisher.check().await
    }

    async fn dead(&self, queue: &QueueSpec, most: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        self.known(queue)?;
        dead::list(&self.site, queue, most).await
    }

    async fn redrive(&self, queue: &QueueSpec, ids: &[MessageId], now: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        self.known(queue)?;
        dead::redrive(&self.site, queue, ids, now).await
    }
}
