//! The loop itself: one subscription after another, one batch after another.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use homeward_chassis::error_chain;
use homeward_types::limits::backoff;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::broker::{Broker, BrokerError, Consumer, Delivery, Receipt, Settle};
use crate::consume::suspects::Suspects;
use crate::consume::{HandleError, Handler, Pace, Received, Verdict};
use crate::topology::QueueSpec;

/// One queue's loop.
pub(super) struct Loop {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) queue: QueueSpec,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) pace: Pace,
    pub(super) shutdown: CancellationToken,
}

/// A message in hand.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) received: Received,
    pub(super) receipt: Receipt,
}

/// Why a subscription ended.
enum Ended {
    /// The process stops.
    Shutdown,
    /// The broker is in trouble.
    Lost(BrokerError),
    /// The handler's database was in trouble for longer than a batch is held.
    NotReady,
}

/// What the handler made of some messages.
enum Handled {
    Verdicts(Vec<Verdict>),
    Trouble(String),
    Failed(String),
}

impl From<BrokerError> for Ended {
    fn from(error: BrokerError) -> Self {
        Self::Lost(error)
    }
}

impl Loop {
    /// Subscribes again and again until the shutdown.
    pub(super) async fn run(self) {
        let mut suspects = Suspects::new(&self.pace);
        let mut failures = 0;
        loop {
            let began = Instant::now();
            match self.subscription(&mut suspects).await {
                Ended::Shutdown => return,
                Ended::Lost(error) => {
                    tracing::warn!(queue = self.queue.name, error = &error as &dyn Error, "subscription lost; subscribing anew");
                }
                Ended::NotReady => {
                    tracing::warn!(
                        queue = self.queue.name,
                        "the database has been in trouble for too long; messages went back to the broker until it answers"
                    );
                }
            }
            suspects.lose();
            failures = if began.elapsed() > self.pace.hold { 0 } else { failures + 1 };
            let mut waits = failures;
            loop {
                if !self.sleep(backoff(self.pace.first_wait, self.pace.longest_wait, waits)).await {
                    return;
                }
                if self.handler.is_ready().await {
                    break;
                }
                waits += 1;
            }
        }
    }

    async fn subscription(&self, suspects: &mut Suspects) -> Ended {
        let mut consumer = tokio::select! {
            () = self.shutdown.cancelled() => return Ended::Shutdown,
            consumer = self.broker.subscribe(&self.queue) => match consumer {
                Ok(consumer) => consumer,
                Err(error) => return error.into(),
            },
        };
        loop {
            // While too many messages are suspects, nothing new is taken: perhaps it is the handler that is at fault.
            let full = suspects.held() >= self.queue.batch;
            let step = tokio::select! {
                () = self.shutdown.cancelled() => return Ended::Shutdown,
                () = suspects.due() => self.again(&mut *consumer, suspects).await,
                taken = consumer.next_batch(self.queue.batch), if !full => match taken {
                    Ok(deliveries) => self.batch(&mut *consumer, deliveries, suspects).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    /// Handles what was just taken.
    async fn batch(&self, consumer: &mut dyn Consumer, deliveries: Vec<Delivery>, suspects: &mut Suspects) -> Result<(), Ended> {
        let mut items = Vec::with_capacity(deliveries.len());
        let mut undecodable = Vec::new();
        for Delivery { envelope, deliveries, receipt } in deliveries {
            match envelope {
                Ok(envelope) => {
                    let span = self.span(&envelope);
                    items.push(Item { received: Received { envelope, deliveries, span }, receipt });
                }
                Err(error) => {
                    tracing::error!(queue = self.queue.name, %error, "a message on the wire is none of ours; it becomes a dead letter");
                    undecodable.push((receipt, Settle::DeadLetter(format!("undecodable: {error}"))));
                }
            }
        }
        if !undecodable.is_empty() {
            consumer.settle(undecodable).await?;
        }
        if items.is_empty() { Ok(()) } else { self.halves(consumer, items, suspects).await }
    }

    /// Tries suspects again, each alone.
    async fn again(&self, consumer: &mut dyn Consumer, suspects: &mut Suspects) -> Result<(), Ended> {
        for item in suspects.take_due() {
            self.halves(consumer, vec![item], suspects).await?;
        }
        Ok(())
    }

    /// Handles messages together; if that fails, by halves; what fails alone becomes a suspect.
    async fn halves(&self, consumer: &mut dyn Consumer, items: Vec<Item>, suspects: &mut Suspects) -> Result<(), Ended> {
        let mut parts = vec![items];
        while let Some(mut part) = parts.pop() {
            match self.handle_when_ready(&part).await? {
                Handled::Verdicts(verdicts) => self.settle(consumer, &part, verdicts, suspects).await?,
                Handled::Failed(reason) if part.len() > 1 => {
                    tracing::debug!(
                        queue = self.queue.name,
                        messages = part.len(),
                        reason,
                        "a batch failed; trying it by halves"
                    );
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Handled::Failed(reason) | Handled::Trouble(reason) => {
                    for item in part {
                        self.suspect(consumer, item, &reason, suspects).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn settle(
        &self,
        consumer: &mut dyn Consumer,
        part: &[Item],
        verdicts: Vec<Verdict>,
        suspects: &mut Suspects,
    ) -> Result<(), Ended> {
        let mut settlements = Vec::with_capacity(part.len());
        for (item, verdict) in part.iter().zip(verdicts) {
            suspects.clear(item.received.envelope.id);
            settlements.push((
                item.receipt,
                match verdict {
                    Verdict::Done => Settle::Ack,
                    Verdict::DeadLetter(reason) => {
                        self.tell(item, &reason);
                        Settle::DeadLetter(reason)
                    }
                },
            ));
        }
        Ok(consumer.settle(settlements).await?)
    }

    /// A message failed by itself. Once too often, and it becomes a dead letter.
    async fn suspect(&self, consumer: &mut dyn Consumer, item: Item, reason: &str, suspects: &mut Suspects) -> Result<(), Ended> {
        let Some((item, tries)) = suspects.failed_alone(item) else { return Ok(()) };
        let reason = format!("failed {tries} times by itself, the last time: {reason}");
        self.tell(&item, &reason);
        Ok(consumer.settle(vec![(item.receipt, Settle::DeadLetter(reason))]).await?)
    }

    fn tell(&self, item: &Item, reason: &str) {
        let envelope = &item.received.envelope;
        tracing::error!(
            queue = self.queue.name, message.id = %envelope.id, kind = envelope.kind, correlation.id = %envelope.correlation, reason,
            "a message becomes a dead letter: mend its cause, then give it back with `homeward dead redrive`"
        );
    }

    /// Calls the handler; in trouble holds the messages, waits and calls it again, for as long as they may be held.
    async fn handle_when_ready(&self, part: &[Item]) -> Result<Handled, Ended> {
        let began = Instant::now();
        let mut waits = 0;
        loop {
            let reason = match self.handle_once(part).await {
                Handled::Trouble(reason) => reason,
                // A message is to blame only if nothing else is.
                Handled::Failed(reason) if part.len() == 1 && !self.handler.is_ready().await => reason,
                handled @ (Handled::Verdicts(_) | Handled::Failed(_)) => return Ok(handled),
            };
            let wait = backoff(self.pace.first_wait, self.pace.longest_wait, waits);
            if began.elapsed() + wait > self.pace.hold {
                return Err(Ended::NotReady);
            }
            tracing::warn!(
                queue = self.queue.name,
                messages = part.len(),
                reason,
                "trouble while handling messages; they are held and tried again"
            );
            if !self.sleep(wait).await {
                return Err(Ended::Shutdown);
            }
            waits += 1;
        }
    }

    async fn handle_once(&self, part: &[Item]) -> Handled {
        let batch = part.iter().map(|item| item.received.clone()).collect();
        let handling = AssertUnwindSafe(self.handler.handle(batch)).catch_unwind();
        match handling.instrument(self.batch_span(part)).await {
            Ok(Ok(verdicts)) if verdicts.len() == part.len() => Handled::Verdicts(verdicts),
            Ok(Ok(verdicts)) => {
                Handled::Failed(format!("the handler gave {} verdicts for {} messages", verdicts.len(), part.len()))
            }
            Ok(Err(HandleError::Infrastructure(error))) => Handled::Trouble(error_chain(&*error)),
            Ok(Err(HandleError::Failed(error))) => Handled::Failed(error_chain(&*error)),
            Err(panic) => Handled::Failed(format!("the handler panicked: {}", message(&*panic))),
        }
    }

    /// Waits; false if the process stops.
    async fn sleep(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
