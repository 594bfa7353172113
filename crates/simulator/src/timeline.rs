//! A fact and what it was a little while ago, so that a read may be answered as an out-of-date replica would.

use std::collections::VecDeque;

/// Microseconds since the Unix epoch, on the simulator's clock.
pub type Moment = i64;

/// How many former values are kept. Older ones are forgotten: a stale read never reaches further back.
const KEPT: usize = 16;

type Past<T> = VecDeque<(Moment, T)>;

/// A value with its recent past, which most values have not: an empty one takes no more than a pointer.
#[derive(Debug, Clone)]
pub(crate) struct Timeline<T> {
    now: T,
    since: Moment,
    past: Option<Box<Past<T>>>,
}

impl<T> Timeline<T> {
    /// A value that was always so.
    pub(crate) const fn new(value: T) -> Self {
        Self { now: value, since: Moment::MIN, past: None }
    }

    /// What is true now.
    pub(crate) const fn now(&self) -> &T {
        &self.now
    }

    /// What a replica that is at `moment` shows.
    pub(crate) fn at(&self, moment: Moment) -> &T {
        if self.since <= moment {
            return &self.now;
        }
        let Some(past) = &self.past else { return &self.now };
        let known = past.iter().rev().find(|(since, _)| *since <= moment).or_else(|| past.front());
        known.map_or(&self.now, |(_, value)| value)
    }

    /// From `moment` on, `value` is true.
    pub(crate) fn set(&mut self, moment: Moment, value: T) {
        let since = moment.max(self.since);
        let former = std::mem::replace(&mut self.now, value);
        let past = self.past.get_or_insert_default();
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back((self.since, former));
        self.since = since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_shows_what_was_true_at_its_moment() {
        let mut fact = Timeline::new("home");
        fact.set(10, "out");
        fact.set(20, "home again");
        let shown: Vec<&str> = [0, 9, 10, 19, 20, 99].iter().map(|moment| *fact.at(*moment)).collect();
        assert_eq!(shown, ["home", "home", "out", "out", "home again", "home again"]);
    }

    #[test]
    fn only_the_recent_past_is_kept() {
        let mut fact = Timeline::new(0);
        for moment in 1..=100 {
            fact.set(moment, moment);
        }
        assert_eq!(*fact.at(95), 95);
        assert_eq!(*fact.at(1), 84, "the oldest value that is still known");
    }
}
