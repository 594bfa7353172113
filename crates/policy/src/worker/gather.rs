//! Few calls for many accounts: a small batch waits a little for company before it sets off.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::landed;
use crate::bells::Bell;

/// How long a small batch is left alone once it was looked at: a ring for each of a hundred leases is no reason to count them a
/// hundred times.
const LULL: Duration = Duration::from_millis(50);

/// How long a small batch waits when nothing else is under way: what arrives together sets off together.
const TOGETHER: Duration = Duration::from_millis(50);

/// How long it waits while others are under way. Under load, and under a provider's rate limit, batches fill meanwhile.
const BEHIND_OTHERS: Duration = Duration::from_millis(500);

/// When the first of a batch was found.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    since: Option<Instant>,
}

impl Gathering {
    /// Whether a batch of so many sets off now. One of `full` or more always does.
    pub(super) fn goes(&mut self, found: usize, full: usize, others: &JoinSet<()>) -> bool {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let goes = found >= full || now >= since + patience(others);
        if goes {
            self.since = None;
        }
        goes
    }

    /// Waits for company: more to do, another batch that is done, or long enough. False if the shutdown came meanwhile.
    pub(super) async fn wait(&self, others: &mut JoinSet<()>, bell: &Bell, shutdown: &CancellationToken) -> bool {
        let lull = Instant::now() + LULL;
        let until = self.since.unwrap_or_else(Instant::now) + patience(others);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => false,
            Some(done) = others.join_next() => {
                landed(done);
                true
            }
            () = async { bell.rung().await; tokio::time::sleep_until(lull.min(until)).await } => true,
            () = tokio::time::sleep_until(until) => true,
        }
    }
}

fn patience(others: &JoinSet<()>) -> Duration {
    if others.is_empty() { TOGETHER } else { BEHIND_OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = 100;

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_goes_and_a_small_one_waits_longer_behind_others() {
        let mut others = JoinSet::new();
        let mut gathering = Gathering::default();
        assert!(gathering.goes(FULL, FULL, &others));
        assert!(!gathering.goes(1, FULL, &others));
        tokio::time::advance(TOGETHER).await;
        assert!(gathering.goes(1, FULL, &others));
        others.spawn(std::future::pending());
        assert!(!gathering.goes(FULL - 1, FULL, &others));
        tokio::time::advance(BEHIND_OTHERS.saturating_sub(Duration::from_millis(1))).await;
        assert!(!gathering.goes(FULL - 1, FULL, &others));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(gathering.goes(FULL - 1, FULL, &others), "nobody waits for ever");
        assert!(!gathering.goes(1, FULL, &others), "the next one waits anew");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_a_ring_a_landing_its_time_or_the_shutdown() {
        let (bell, shutdown) = (Bell::default(), CancellationToken::new());
        let mut others = JoinSet::new();
        let mut gathering = Gathering::default();
        gathering.goes(1, FULL, &others);
        let begun = Instant::now();
        assert!(gathering.wait(&mut others, &bell, &shutdown).await);
        assert_eq!(begun.elapsed(), TOGETHER);
        bell.ring();
        others.spawn(std::future::pending());
        let begun = Instant::now();
        assert!(gathering.wait(&mut others, &bell, &shutdown).await);
        assert_eq!(begun.elapsed(), LULL, "many rings are one look");
        others.spawn(async {});
        assert!(gathering.wait(&mut others, &bell, &shutdown).await);
        assert_eq!((begun.elapsed(), others.len()), (LULL, 1));
        shutdown.cancel();
        assert!(!gathering.wait(&mut others, &bell, &shutdown).await);
    }
}
