//! A provider that takes so many calls of a path in a minute, and production's budget that learns that from its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use homeward_provider::{ErrorClass, PathBudget, Priority, ProviderError, RateNews};
use tokio::time::Instant;

use super::agenda::{Micros, SECOND};
use super::world::World;

/// How long a call waits for room, as the adapter's settings have it.
const PATIENCE: Micros = 10 * SECOND;

/// The provider's window.
const WINDOW: Micros = 60 * SECOND;

/// A path of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Moves.
    Move,
    /// Placement reads.
    Placements,
    /// Task reads.
    Task,
}

/// Limits, and what is known of them.
pub struct Limiter {
    /// Calls in a minute: of each path, or of all together.
    pub per_minute: u32,
    /// All paths share the limit.
    pub shared: bool,
    /// Calls made, by path.
    pub made: BTreeMap<Path, u64>,
    /// Calls that were refused for the rate.
    pub refused: u64,
    begun: Instant,
    budgets: BTreeMap<Path, PathBudget>,
    windows: BTreeMap<Path, (Micros, u32)>,
}

impl Limiter {
    /// A limit that nobody has learned yet.
    pub fn new(per_minute: u32, shared: bool) -> Self {
        Self {
            per_minute,
            shared,
            made: BTreeMap::new(),
            refused: 0,
            begun: Instant::now(),
            budgets: BTreeMap::new(),
            windows: BTreeMap::new(),
        }
    }

    fn instant(&self, now: Micros) -> Instant {
        self.begun + Duration::from_micros(now.unsigned_abs())
    }

    /// Asks production's budget for a call. `Some`: look again then.
    pub fn admit(&mut self, path: Path, priority: Priority, waited: bool, now: Micros) -> Option<Micros> {
        let instant = self.instant(now);
        let budget = self.budgets.entry(path).or_insert_with(|| PathBudget::new(None));
        if waited {
            budget.waits_no_more(priority);
        }
        let again = budget.take(priority, instant)?;
        budget.waits(priority);
        let wait = again.saturating_duration_since(instant).as_micros();
        Some(now + Micros::try_from(wait).unwrap_or(WINDOW).max(1))
    }

    /// One who waited does not wait any more.
    pub fn gives_up(&mut self, path: Path, priority: Priority) {
        if let Some(budget) = self.budgets.get_mut(&path) {
            budget.waits_no_more(priority);
        }
    }

    /// The provider takes a call or refuses it; the budget learns what the answer says. `Some`: refused, with the wait that the
    /// budget makes of it.
    pub fn answer(&mut self, path: Path, now: Micros, answered: bool) -> Option<Micros> {
        let instant = self.instant(now);
        let counted = if self.shared { Path::Move } else { path };
        let window = self.windows.entry(counted).or_insert((now, 0));
        if now >= window.0 + WINDOW {
            *window = (now, 0);
        }
        let taken = answered && window.1 < self.per_minute;
        window.1 += u32::from(taken);
        let resets_in = Duration::from_micros((window.0 + WINDOW - now).unsigned_abs());
        let news = RateNews {
            limit: Some(self.per_minute),
            remaining: Some(self.per_minute - window.1),
            resets_in: Some(resets_in),
            retry_after: None,
            refused: answered && !taken,
        };
        *self.made.entry(path).or_default() += u64::from(taken);
        self.refused += u64::from(answered && !taken);
        let mut wait = Duration::ZERO;
        if let Some(budget) = self.budgets.get_mut(&path) {
            if answered {
                wait = budget.learn(news, instant);
            }
            budget.ended();
        }
        news.refused.then(|| Micros::try_from(wait.as_micros()).unwrap_or(WINDOW))
    }
}

fn limited(after: Micros) -> ProviderError {
    let after = Duration::from_micros(after.unsigned_abs());
    ProviderError::new("call", ErrorClass::Retry { after }, Some(429), "no room").not_taken().for_the_rate()
}

impl World {
    /// Asks for room for a call that waits since then. `Some`: look again then.
    ///
    /// # Errors
    /// There is none in time: the adapter gives up, and nothing was sent.
    pub fn admitted(
        &mut self,
        path: Path,
        priority: Priority,
        since: Micros,
        waited: bool,
    ) -> Result<Option<Micros>, ProviderError> {
        let now = self.agenda.now();
        let Some(limiter) = &mut self.provider.limiter else { return Ok(None) };
        match limiter.admit(path, priority, waited, now) {
            Some(again) if again > since + PATIENCE => {
                limiter.gives_up(path, priority);
                Err(limited(again - now))
            }
            again => Ok(again),
        }
    }

    /// The answer of a call where the rate is limited: the provider may refuse it.
    pub fn limited(&mut self, path: Path, error: Option<ProviderError>) -> Option<ProviderError> {
        let now = self.agenda.now();
        let Some(limiter) = &mut self.provider.limiter else { return error };
        if error.as_ref().is_some_and(ProviderError::is_for_the_rate) {
            // It never left.
            return error;
        }
        match limiter.answer(path, now, error.is_none()) {
            Some(wait) if error.is_none() => Some(limited(wait)),
            _ => error,
        }
    }
}
