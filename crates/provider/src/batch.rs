//! Splits a long list into calls, isolates what a provider refuses, and learns how large a call may be.
//!
//! Pure: it says which part to send next and takes in what happened to it. A part that was refused as a whole is halved. If
//! the halves go through, the size was at fault and later calls are smaller; if it comes down to one entry, that entry was.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// After so many entries refused one by one, with nothing accepted, the fault lies elsewhere and bisecting ends.
const HOPELESS: u32 = 8;

/// The largest call that a provider takes, as far as we know.
#[derive(Debug)]
pub struct BatchLimit {
    configured: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    accepted: usize,
    refused: Option<usize>,
}

impl BatchLimit {
    /// A limit that begins at `configured` (at least one) and never goes above it.
    pub fn new(configured: usize) -> Self {
        Self { configured: configured.max(1), seen: Mutex::default() }
    }

    /// How many entries the next call should have: halfway between what went through and what did not, until they are
    /// within a twentieth of each other.
    pub fn size(&self) -> usize {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(refused) = seen.refused else { return self.configured };
        let gap = refused.saturating_sub(seen.accepted);
        let size = if gap <= 1 || gap * 20 <= seen.accepted { seen.accepted } else { seen.accepted + gap / 2 };
        size.clamp(1, self.configured)
    }

    /// Takes in what a finished bisection showed.
    pub fn learn(&self, work: &Bisection) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.accepted = seen.accepted.max(work.largest_taken);
        if let Some(refused) = work.smallest_refused.filter(|_| work.lone_refused == 0 && work.largest_taken > 0) {
            seen.refused = Some(seen.refused.map_or(refused, |known| known.min(refused)));
        }
        if seen.refused.is_some_and(|refused| refused <= seen.accepted) {
            seen.refused = None; // the provider takes more than it once did
        }
    }
}

/// The parts of one list that are still to be sent.
#[derive(Debug)]
pub struct Bisection {
    todo: VecDeque<Range<usize>>,
    largest_taken: usize,
    smallest_refused: Option<usize>,
    lone_refused: u32,
}

impl Bisection {
    /// A list of `length` entries, in parts of at most `size`.
    pub fn new(length: usize, size: usize) -> Self {
        let size = size.max(1);
        let todo = (0..length).step_by(size).map(|from| from..(from + size).min(length)).collect();
        Self { todo, largest_taken: 0, smallest_refused: None, lone_refused: 0 }
    }

    /// The next part to send, in the list's order.
    pub fn next_part(&mut self) -> Option<Range<usize>> {
        self.todo.pop_front()
    }

    /// A part went through.
    pub fn taken(&mut self, part: &Range<usize>) {
        self.largest_taken = self.largest_taken.max(part.len());
    }

    /// A part was refused as a whole, with proof that nothing happened. Whether it was halved; `false` for a single entry.
    pub fn refused(&mut self, part: &Range<usize>) -> bool {
        if part.len() <= 1 {
            self.lone_refused = self.lone_refused.saturating_add(1);
            return false;
        }
        self.smallest_refused = Some(self.smallest_refused.map_or(part.len(), |known| known.min(part.len())));
        let middle = part.start + part.len() / 2;
        self.todo.push_front(middle..part.end);
        self.todo.push_front(part.start..middle);
        true
    }

    /// Whether going on makes no sense: entry after entry is refused and nothing went through.
    pub fn hopeless(&self) -> bool {
        self.lone_refused >= HOPELESS && self.largest_taken == 0
    }

    /// Everything that was not sent, and need not be sent any more.
    pub fn give_up(&mut self) -> Vec<Range<usize>> {
        self.todo.drain(..).collect()
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
