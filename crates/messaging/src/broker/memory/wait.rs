//! Who waits for a publish, and what was settled while nobody did.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use homeward_types::MessageId;
use tokio::sync::Notify;

use crate::broker::PublishError;

/// How many messages that were settled unheard are remembered: more than a queue holds.
const UNHEARD: usize = 50_000;

/// A publisher that waits for a batch.
pub(super) struct Wait {
    answers: Mutex<Vec<Option<Result<(), PublishError>>>>,
    missing: AtomicUsize,
    over: Notify,
}

impl Wait {
    pub(super) fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(vec![None; messages]), missing: AtomicUsize::new(messages), over: Notify::new() })
    }

    /// The first answer for a message counts; says whether this was it, and somebody is there to hear it.
    pub(super) fn answer(&self, index: usize, answer: Result<(), PublishError>) -> bool {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot @ None) = answers.get_mut(index) else { return false };
        *slot = Some(answer);
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.over.notify_one();
        }
        true
    }

    /// Waits until every message has its answer.
    pub(super) async fn over(&self) {
        while self.missing.load(Ordering::Acquire) > 0 {
            self.over.notified().await;
        }
    }

    /// The answers, in order.
    pub(super) fn answers(&self) -> Vec<Result<(), PublishError>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let unanswered = || Err(PublishError::Unavailable("the broker gave no answer".to_owned()));
        answers.drain(..).map(|answer| answer.unwrap_or_else(unanswered)).collect()
    }
}

/// Remembers the last messages that were settled unheard. Without it, a subscriber that is always a little slower than a
/// publisher's patience would get every message again and again. One that is forgotten is only delivered once more.
#[derive(Default)]
pub(super) struct Unheard {
    ids: HashSet<MessageId>,
    oldest_first: VecDeque<MessageId>,
}

impl Unheard {
    /// Remembers one.
    pub(super) fn add(&mut self, id: MessageId) {
        if self.ids.insert(id) {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > UNHEARD
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Forgets one; says whether it was remembered.
    pub(super) fn remove(&mut self, id: MessageId) -> bool {
        self.ids.remove(&id)
    }
}
