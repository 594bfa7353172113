//! The outbox numbers of those whose commands policy heard (rule 12): a sender whose own number is lower was restored.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use homeward_messaging::Received;
use homeward_types::Timestamp;
use tracing::Span;

/// How often the numbers are noted: each message would cost more than knowing the last is worth.
const EVERY: TimeDelta = TimeDelta::seconds(1);

/// The newest message of each sender that was not noted yet.
#[derive(Default)]
pub(super) struct Heard(Mutex<Newest>);

#[derive(Default)]
struct Newest {
    of: BTreeMap<String, Received>,
    noted_at: Option<Timestamp>,
}

impl Heard {
    pub(super) fn hear(&self, batch: &[Received]) {
        let mut newest = self.newest();
        for received in batch {
            let known = newest.of.get(&received.envelope.sender);
            if known.is_none_or(|known| known.envelope.sender_number < received.envelope.sender_number) {
                // Its span is over when its handler is, not when its number is written.
                let known = Received { span: Span::none(), ..received.clone() };
                newest.of.insert(received.envelope.sender.clone(), known);
            }
        }
    }

    /// What is to be noted with whatever else is written, when it is time to.
    pub(super) fn take(&self, now: Timestamp) -> Vec<Received> {
        let mut newest = self.newest();
        if newest.noted_at.is_some_and(|at| now - at < EVERY) {
            return Vec::new();
        }
        newest.noted_at = Some(now);
        std::mem::take(&mut newest.of).into_values().collect()
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
