//! Shares a provider's rate limits among our calls, and learns them from its answers.
//!
//! For each path it keeps what the provider last said is left in the present window. Work of low priority leaves a part of
//! that to work of higher priority; after a refusal (429) nobody calls that path until the time that the provider named.
//! A path whose limit nobody told is not limited.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use homeward_types::limits::backoff;
use tokio::time::Instant;

use crate::priority::Priority;

/// The length of a window where the provider names no end of it.
const WINDOW: Duration = Duration::from_mins(1);
/// First wait after a refusal without a time in it; doubles to [`WINDOW`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait that a provider names is longer or shorter than this.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// How often one who waits for others looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What an answer said about the limit of its path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateNews {
    /// Calls in a window.
    pub limit: Option<u32>,
    /// Calls left in this window.
    pub remaining: Option<u32>,
    /// Until the window ends, by the provider's own clock.
    pub resets_in: Option<Duration>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
    /// The call was refused for its rate.
    pub refused: bool,
}

/// How one path stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The call, by its template.
    pub call: &'static str,
    /// Calls made since the start.
    pub sent: u64,
    /// Calls that were refused for their rate.
    pub refused: u64,
    /// Calls in a window, as far as known.
    pub limit: Option<u32>,
    /// Whether an answer told that limit. Otherwise it is the published one.
    pub told: bool,
    /// Calls left in this window, as far as known.
    pub remaining: Option<u32>,
}

/// What is known of one path's limit, and who may call it now. Pure: the moment comes in by parameter.
#[derive(Debug, Default)]
pub struct PathBudget {
    limit: Option<u32>,
    told: bool,
    remaining: Option<u32>,
    resets: Option<Instant>,
    blocked_until: Option<Instant>,
    refusals_in_row: u32,
    in_flight: u32,
    waiting: [u32; Priority::ALL.len()],
    sent: u64,
    refused: u64,
}

impl PathBudget {
    /// A path with the limit in calls a minute that the provider publishes, if it does.
    pub fn new(documented: Option<u32>) -> Self {
        Self { limit: documented, remaining: documented, ..Self::default() }
    }

    /// `None`: go, and count it. `Some(when)`: look again then.
    pub fn take(&mut self, priority: Priority, now: Instant) -> Option<Instant> {
        if self.resets.is_some_and(|at| at <= now) {
            self.resets = None;
            self.remaining = self.limit;
        }
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Some(until);
        }
        let ahead: u32 = self.waiting[priority as usize + 1..].iter().sum();
        match self.remaining {
            None if ahead > 0 => return Some(now + LOOK_AGAIN),
            Some(left) if left <= self.reserve(priority).saturating_add(ahead) => {
                return Some(*self.resets.get_or_insert(now + WINDOW));
            }
            None | Some(_) => {}
        }
        if let Some(left) = &mut self.remaining {
            *left -= 1;
            self.resets.get_or_insert(now + WINDOW);
        }
        self.in_flight += 1;
        self.sent += 1;
        None
    }

    /// What `priority` leaves to those above it.
    fn reserve(&self, priority: Priority) -> u32 {
        let limit = self.limit.or(self.remaining).unwrap_or(0);
        match priority {
            Priority::Return => 0,
            Priority::Evidence => limit / 10,
            Priority::Lend => limit / 4,
            Priority::Sync => limit / 2,
        }
    }

    /// Takes in what an answer said. For a refused call, the time to wait; otherwise nothing.
    pub fn learn(&mut self, news: RateNews, now: Instant) -> Duration {
        self.told |= news.limit.is_some();
        self.limit = news.limit.or(self.limit);
        if let Some(left) = news.remaining {
            self.remaining = Some(left.saturating_sub(self.in_flight.saturating_sub(1)));
        }
        if let Some(by) = news.resets_in {
            self.resets = Some(now + by.clamp(SHORTEST_WAIT, LONGEST_WAIT));
        }
        if !news.refused {
            self.refusals_in_row = 0;
            return Duration::ZERO;
        }
        self.refused += 1;
        let already = self.blocked_until.is_some_and(|until| until > now);
        if !already {
            self.refusals_in_row = self.refusals_in_row.saturating_add(1);
        }
        // An end of the window that is past already was written without its seconds, and says nothing.
        let wait = news
            .retry_after
            .or(news.resets_in.filter(|by| !by.is_zero()))
            .unwrap_or_else(|| backoff(FIRST_WAIT, WINDOW, self.refusals_in_row.saturating_sub(1)))
            .clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.blocked_until = self.blocked_until.max(Some(now + wait));
        wait
    }

    /// A call that went ended, however it ended.
    pub fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Somebody of this priority waits until [`Self::take`] lets it go: those below let it go first.
    pub fn waits(&mut self, priority: Priority) {
        self.waiting[priority as usize] += 1;
    }

    /// One who waited looks again, or has given up.
    pub fn waits_no_more(&mut self, priority: Priority) {
        let count = &mut self.waiting[priority as usize];
        *count = count.saturating_sub(1);
    }
}

/// The rate limits of one organisation's paths, as far as they are known.
#[derive(Debug, Default)]
pub struct RateBudget {
    paths: Mutex<HashMap<&'static str, PathBudget>>,
}

impl RateBudget {
    /// Waits until a call of `path` may go, at most `patience`.
    ///
    /// `documented` is the limit in calls a minute that the provider publishes, until its answers say otherwise.
    ///
    /// # Errors
    /// The time to wait before it makes sense to ask again, when that is longer than `patience`.
    pub async fn admit(
        &self,
        path: &'static str,
        documented: Option<u32>,
        priority: Priority,
        patience: Duration,
    ) -> Result<Permit<'_>, Duration> {
        let deadline = Instant::now() + patience;
        loop {
            let now = Instant::now();
            let again = {
                let mut paths = self.lock();
                let state = paths.entry(path).or_insert_with(|| PathBudget::new(documented));
                match state.take(priority, now) {
                    None => return Ok(Permit { budget: self, path }),
                    Some(again) if again > deadline => return Err(again - now),
                    Some(again) => {
                        state.waits(priority);
                        again
                    }
                }
            };
            let _waiting = Waiting { budget: self, path, priority };
            tokio::time::sleep_until(again).await;
        }
    }

    /// How each path stands, in the order of their names.
    pub fn usage(&self) -> Vec<Usage> {
        let mut usage: Vec<Usage> = self
            .lock()
            .iter()
            .map(|(call, path)| Usage {
                call,
                sent: path.sent,
                refused: path.refused,
                limit: path.limit,
                told: path.told,
                remaining: path.remaining,
            })
            .collect();
        usage.sort_by_key(|path| path.call);
        usage
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, PathBudget>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that may go. Dropped when it ended, however it ended.
#[derive(Debug)]
pub struct Permit<'a> {
    budget: &'a RateBudget,
    path: &'static str,
}

impl Permit<'_> {
    /// Takes in what the answer said. For a refused call, the time to wait; otherwise nothing.
    pub fn learn(&self, news: RateNews) -> Duration {
        let now = Instant::now();
        self.budget.lock().get_mut(self.path).map_or(Duration::ZERO, |path| path.learn(news, now))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.budget.lock().get_mut(self.path) {
            path.ended();
        }
    }
}

/// Counts one who waits, also when its future is dropped while waiting.
struct Waiting<'a> {
    budget: &'a RateBudget,
    path: &'static str,
    priority: Priority,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.budget.lock().get_mut(self.path) {
            path.waits_no_more(self.priority);
        }
    }
}

#[cfg(test)]
#[path = "budget/tests.rs"]
mod tests;
