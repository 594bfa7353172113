//! Messages that failed by themselves: set aside so that the others go on, tried again a few times.

use std::collections::HashMap;
use std::time::Duration;

use homeward_types::MessageId;
use homeward_types::limits::backoff;
use tokio::time::Instant;

use crate::consume::Pace;
use crate::consume::run::Item;

/// Failures that are remembered without the message in hand.
const REMEMBERED: usize = 10_000;

/// The suspects of one queue's loop.
pub(super) struct Suspects {
    /// In hand, waiting for their next try.
    held: Vec<(Instant, Item)>,
    /// How often each has failed alone. Outlives a subscription.
    failures: HashMap<MessageId, u32>,
    first_wait: Duration,
    longest_wait: Duration,
    tries: u32,
}

impl Suspects {
    pub(super) fn new(pace: &Pace) -> Self {
        Self {
            held: Vec::new(),
            failures: HashMap::new(),
            first_wait: pace.first_wait,
            longest_wait: pace.longest_wait,
            tries: pace.tries_alone,
        }
    }

    /// How many are in hand.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Notes a failure. Gives the message back, with the number of its failures, if that was one too many.
    pub(super) fn failed_alone(&mut self, item: Item) -> Option<(Item, u32)> {
        let id = item.received.envelope.id;
        let failures = self.failures.entry(id).or_default();
        *failures += 1;
        let failures = *failures;
        if failures >= self.tries {
            self.failures.remove(&id);
            return Some((item, failures));
        }
        self.held.push((Instant::now() + backoff(self.first_wait, self.longest_wait, failures - 1), item));
        None
    }

    /// The message went through, or became a dead letter.
    pub(super) fn clear(&mut self, id: MessageId) {
        self.failures.remove(&id);
    }

    /// The subscription is gone, and what was in hand with it. Their failures still count, unless they are too many to remember:
    /// some of those messages were then handled elsewhere.
    pub(super) fn lose(&mut self) {
        self.held.clear();
        if self.failures.len() > REMEMBERED {
            self.failures.clear();
        }
    }

    /// Waits until one is to be tried again; for ever if there is none.
    pub(super) async fn due(&self) {
        match self.held.iter().map(|(due, _)| *due).min() {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Those whose next try has come.
    pub(super) fn take_due(&mut self) -> Vec<Item> {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.held).into_iter().partition(|(due, _)| *due <= now);
        self.held = later;
        due.into_iter().map(|(_, item)| item).collect()
    }
}
