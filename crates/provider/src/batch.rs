//! Splits a long list into calls, isolates what a provider refuses, and learns how large a call may be.
//!
//! Pure: it says which part to send next and takes in what happened to it. A part that was refused as a whole is halved. If
//! the halves go through, the size was at fault and later calls are smaller; if it comes down to one entry, that entry was.
//! Larger sizes are tried again only where they would save a call.

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

    /// The largest call that is worth trying: halfway between what went through and what did not, until they are within a
    /// twentieth of each other.
    pub fn size(&self) -> usize {
        self.seen().size(self.configured)
    }

    /// How many entries the next call should have when so many are left. Where no size that may still be taken would save a
    /// call, none is tried, and what is left is shared out evenly.
    pub fn part_of(&self, left: usize) -> usize {
        let seen = self.seen();
        let size = seen.size(self.configured);
        let Some(refused) = seen.refused.filter(|_| seen.accepted > 0) else { return size.min(left) };
        let known = left.div_ceil(seen.accepted);
        let at_best = left.div_ceil(refused.saturating_sub(1).clamp(1, self.configured));
        if known <= at_best { left.div_ceil(known.max(1)) } else { size.min(left) }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what one part of a list showed.
    fn learn(&self, part: &Part) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.accepted = seen.accepted.max(part.largest_taken);
        if let Some(refused) = part.smallest_refused.filter(|_| part.lone_refused == 0 && part.largest_taken > 0) {
            seen.refused = Some(seen.refused.map_or(refused, |known| known.min(refused)));
        }
        if seen.refused.is_some_and(|refused| refused <= seen.accepted) {
            seen.refused = None; // the provider takes more than it once did
        }
    }
}

impl Seen {
    fn size(self, configured: usize) -> usize {
        let Some(refused) = self.refused else { return configured };
        let gap = refused.saturating_sub(self.accepted);
        let size = if gap <= 1 || gap * 20 <= self.accepted { self.accepted } else { self.accepted + gap / 2 };
        size.clamp(1, configured)
    }
}

/// What one part of a list, with all its halves, came to.
#[derive(Debug, Default)]
struct Part {
    halves: Vec<Range<usize>>,
    largest_taken: usize,
    smallest_refused: Option<usize>,
    lone_refused: u32,
}

/// What is still to be sent of one list.
#[derive(Debug)]
pub struct Bisection<'a> {
    limit: &'a BatchLimit,
    part: Part,
    rest: Range<usize>,
    taken: bool,
    lone_refused: u32,
}

impl<'a> Bisection<'a> {
    /// A list of `length` entries, in parts as large as `limit` knows, which learns from each.
    pub fn new(length: usize, limit: &'a BatchLimit) -> Self {
        Self { limit, part: Part::default(), rest: 0..length, taken: false, lone_refused: 0 }
    }

    /// The next part to send, in the list's order.
    pub fn next_part(&mut self) -> Option<Range<usize>> {
        if let Some(half) = self.part.halves.pop() {
            return Some(half);
        }
        self.limit.learn(&std::mem::take(&mut self.part));
        if self.rest.is_empty() {
            return None;
        }
        let from = self.rest.start;
        self.rest.start += self.limit.part_of(self.rest.len()).clamp(1, self.rest.len());
        Some(from..self.rest.start)
    }

    /// A part went through.
    pub fn taken(&mut self, part: &Range<usize>) {
        self.taken = true;
        self.part.largest_taken = self.part.largest_taken.max(part.len());
    }

    /// A part was refused as a whole, with proof that nothing happened. Whether it was halved; `false` for a single entry.
    pub fn refused(&mut self, part: &Range<usize>) -> bool {
        if part.len() <= 1 {
            self.part.lone_refused = self.part.lone_refused.saturating_add(1);
            self.lone_refused = self.lone_refused.saturating_add(1);
            return false;
        }
        self.part.smallest_refused = Some(self.part.smallest_refused.map_or(part.len(), |known| known.min(part.len())));
        let middle = part.start + part.len() / 2;
        self.part.halves.push(middle..part.end);
        self.part.halves.push(part.start..middle);
        true
    }

    /// Whether going on makes no sense: entry after entry is refused and nothing went through.
    pub fn hopeless(&self) -> bool {
        self.lone_refused >= HOPELESS && !self.taken
    }

    /// Everything that was not sent, and need not be sent any more. Why the last part was refused is not known then.
    pub fn give_up(&mut self) -> Vec<Range<usize>> {
        let mut unsent: Vec<Range<usize>> = self.part.halves.drain(..).rev().collect();
        self.part.smallest_refused = None;
        if !self.rest.is_empty() {
            unsent.push(self.rest.clone());
            self.rest.start = self.rest.end;
        }
        unsent
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
