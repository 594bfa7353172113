//! What people mean to do, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Something that a person does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// Signs in and sets up a factor.
    Enrol(String),
    /// Removes the old factor of this account.
    Reset(String),
    /// Cancels this recovery.
    Cancel(String),
}

/// In order of time.
#[derive(Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(Instant, Deed)>>);

impl Agenda {
    pub(super) fn add(&mut self, at: Instant, deed: Deed) {
        self.0.push(Reverse((at, deed)));
    }

    /// Takes what is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Deed> {
        let mut due = Vec::new();
        while self.0.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            due.extend(self.0.pop().map(|Reverse((_, deed))| deed));
        }
        due
    }
}
