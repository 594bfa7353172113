//! Messages under way, as the story delivers them.

use std::collections::VecDeque;

use crate::proofs::story::Delivery;

/// What was sent and not yet acknowledged. Survives a crash.
pub(super) struct Queue<T> {
    messages: VecDeque<T>,
    delivery: Delivery,
}

impl<T: Clone> Queue<T> {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { messages: VecDeque::new(), delivery }
    }

    /// Sends messages, each of which comes as often as the story says.
    pub(super) fn send(&mut self, messages: impl IntoIterator<Item = T>) {
        for message in messages {
            if self.delivery == Delivery::Twice {
                self.messages.push_back(message.clone());
            }
            self.messages.push_back(message);
        }
    }

    /// What comes next. It comes again until it is acknowledged.
    pub(super) fn next(&self) -> Option<T> {
        match self.delivery {
            Delivery::Once | Delivery::Twice => self.messages.front().cloned(),
            Delivery::LateAndReversed => self.messages.back().cloned(),
        }
    }

    /// Takes out what came last.
    pub(super) fn acknowledge(&mut self) -> Option<T> {
        match self.delivery {
            Delivery::Once | Delivery::Twice => self.messages.pop_front(),
            Delivery::LateAndReversed => self.messages.pop_back(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
