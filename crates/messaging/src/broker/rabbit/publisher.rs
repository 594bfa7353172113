//! Publishes batches: all messages of a batch first, then one wait for all confirms.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use homeward_types::MessageId;
use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, ExchangeKind};
use tokio::time::Instant;

use crate::broker::rabbit::link::{confirming, connect, within};
use crate::broker::rabbit::{PATIENCE, Site, wire};
use crate::broker::{BrokerError, PublishError};
use crate::envelope::Envelope;
use crate::topology::EXCHANGE;

/// After a failed connect, others fail at once for this long instead of each waiting for its own failure.
const BREATH: Duration = Duration::from_millis(200);

/// The publishing side.
pub(super) struct Publisher {
    site: Site,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    failed: Option<(Instant, BrokerError)>,
}

/// A connection with the channels that nobody uses at the moment.
///
/// A batch has a channel to itself: lapin hands a returned message to whichever confirm of the channel comes next, so only
/// among the confirms of one batch can the return be matched (by message id).
struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
}

impl Publisher {
    pub(super) fn new(site: Site) -> Self {
        Self { site, state: tokio::sync::Mutex::default() }
    }

    pub(super) async fn connect(&self) -> Result<(), BrokerError> {
        self.link().await.map(drop)
    }

    /// Has the broker answer something, over the connection that messages take.
    pub(super) async fn check(&self) -> Result<(), BrokerError> {
        let link = self.link().await?;
        let answered = link.check().await;
        if answered.is_err() {
            self.abandon(&link).await;
        }
        answered
    }

    /// One answer for each message, in order.
    pub(super) async fn publish(&self, batch: &[Arc<Envelope>]) -> Vec<Result<(), PublishError>> {
        let mut answers: Vec<Result<(), PublishError>> = batch.iter().map(|envelope| wire::check(envelope)).collect();
        let good: Vec<usize> = (0..batch.len()).filter(|at| answers[*at].is_ok()).collect();
        if good.is_empty() {
            return answers;
        }
        let messages: Vec<&Envelope> = good.iter().map(|at| &*batch[*at]).collect();
        match self.publish_good(&messages).await {
            Ok(published) => {
                for (at, answer) in good.into_iter().zip(published) {
                    answers[at] = answer;
                }
            }
            Err(error) => {
                for at in good {
                    answers[at] = Err(PublishError::Unavailable(error.to_string()));
                }
            }
        }
        answers
    }

    async fn publish_good(&self, messages: &[&Envelope]) -> Result<Vec<Result<(), PublishError>>, BrokerError> {
        let link = self.link().await?;
        let published = link.publish(messages).await;
        if published.is_err() {
            self.abandon(&link).await;
        }
        published
    }

    /// The present connection, or a new one.
    async fn link(&self) -> Result<Arc<Link>, BrokerError> {
        let mut state = self.state.lock().await;
        if let Some(link) = &state.link {
            if link.connection.status().connected() {
                return Ok(Arc::clone(link));
            }
            state.link = None;
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < BREATH
        {
            return Err(error.clone());
        }
        match connect(&self.site).await {
            Ok(connection) => {
                let link = Arc::new(Link { connection, idle: Mutex::default() });
                *state = State { link: Some(Arc::clone(&link)), failed: None };
                Ok(link)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The next publish builds anew. Dropping the last user of the old connection closes it.
    async fn abandon(&self, link: &Arc<Link>) {
        let mut state = self.state.lock().await;
        if state.link.as_ref().is_some_and(|present| Arc::ptr_eq(present, link)) {
            state.link = None;
        }
    }
}

impl Link {
    async fn publish(&self, messages: &[&Envelope]) -> Result<Vec<Result<(), PublishError>>, BrokerError> {
        let idle = self.idle().pop();
        let channel = match idle {
            Some(channel) => channel,
            None => confirming(&self.connection).await?,
        };
        let confirmations = within(PATIENCE, "publishing", publish_all(&channel, messages)).await?;
        // A channel whose confirms have not all come is dropped, and closed with that.
        self.idle().push(channel);
        Ok(answers(messages, confirmations))
    }

    async fn check(&self) -> Result<(), BrokerError> {
        let idle = self.idle().pop();
        let channel = match idle {
            Some(channel) => channel,
            None => confirming(&self.connection).await?,
        };
        let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let asked = channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, look, FieldTable::default());
        within(PATIENCE, "asking for an answer", asked).await?;
        self.idle().push(channel);
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn publish_all(channel: &Channel, messages: &[&Envelope]) -> lapin::Result<Vec<Confirmation>> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sending = messages.iter().map(|message| {
        channel.basic_publish(EXCHANGE.into(), message.kind.as_str().into(), options, &message.payload, wire::properties(message))
    });
    let sent = try_join_all(sending).await?;
    try_join_all(sent).await
}

/// A returned message was acknowledged as well, but it lies nowhere.
fn answers(messages: &[&Envelope], confirmations: Vec<Confirmation>) -> Vec<Result<(), PublishError>> {
    let mut refused = Vec::with_capacity(messages.len());
    let mut returned: HashSet<MessageId> = HashSet::new();
    for confirmation in confirmations {
        refused.push(!confirmation.is_ack());
        let id = confirmation.take_message().and_then(|message| wire::message_id(&message.properties));
        returned.extend(id);
    }
    messages
        .iter()
        .zip(refused)
        .map(|(message, refused)| match (returned.contains(&message.id), refused) {
            (true, _) => Err(PublishError::Unroutable),
            (false, true) => Err(PublishError::Unavailable("RabbitMQ refused the message; perhaps a queue is full".to_owned())),
            (false, false) => Ok(()),
        })
        .collect()
}
