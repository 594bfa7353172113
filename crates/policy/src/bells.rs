//! Wakes the loops when there is work for them. Losing a ring costs a second: every loop looks by itself, too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use homeward_types::{Clock, OrganisationId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::lease::{Lease, State};

/// How long a loop waits at most before it looks by itself: other processes ring no bells here.
const LOOK: Duration = Duration::from_secs(1);

/// Wakes one loop.
#[derive(Debug)]
pub struct Bell {
    rung: Notify,
    /// Until when the loop sleeps by itself, in microseconds; the end of time while it is awake, when every ring counts.
    until: AtomicI64,
}

impl Default for Bell {
    fn default() -> Self {
        Self { rung: Notify::new(), until: AtomicI64::new(i64::MAX) }
    }
}

impl Bell {
    /// There is something to do.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// There will be something to do then; who wakes by then is not disturbed.
    pub fn ring_before(&self, due: Timestamp) {
        if due.timestamp_micros() < self.until.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Waits for a ring. One that came before counts, once.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Waits for a ring, for `due` (what the loop found to be next), for a second, or for the shutdown (then false).
    pub async fn wait(&self, due: Option<Timestamp>, clock: &dyn Clock, shutdown: &CancellationToken) -> bool {
        let until_due = due.map_or(LOOK, |due| (due - clock.now()).to_std().unwrap_or(Duration::ZERO)).min(LOOK);
        let _asleep = Asleep::until(self, due);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => false,
            () = self.rung() => true,
            () = tokio::time::sleep(until_due) => true,
        }
    }
}

/// A loop that sleeps. What it is woken for is read only after this is dropped, so that no change falls in between.
struct Asleep<'a>(&'a Bell);

impl<'a> Asleep<'a> {
    fn until(bell: &'a Bell, due: Option<Timestamp>) -> Self {
        bell.until.store(due.map_or(i64::MAX, |due| due.timestamp_micros()), Ordering::SeqCst);
        Self(bell)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.until.store(i64::MAX, Ordering::SeqCst);
    }
}

/// The bells of one organisation's loops.
#[derive(Debug, Default)]
pub struct Bells {
    /// Lends may be ready.
    pub lend: Bell,
    /// Returns may be ready.
    pub returns: Bell,
    /// Accounts may be due to be read.
    pub read: Bell,
}

impl Bells {
    /// Rings for what this change of a lease is work for.
    pub fn changed(&self, lease: &Lease, now: Timestamp) {
        match lease.state {
            State::Opening => self.lend.ring(),
            State::Closing => self.returns.ring(),
            // Lends are held back while an account is out past its time: perhaps it was this one.
            State::Settling | State::Closed(_) if lease.due_at <= now => self.lend.ring(),
            State::Active | State::Settling | State::Closed(_) => {}
        }
        if let Some(next) = lease.next_read_at {
            self.read.ring_before(next);
        }
    }
}

/// All bells of a process.
#[derive(Debug, Default)]
pub struct Belfry {
    organisations: BTreeMap<OrganisationId, Bells>,
    /// Time may change a lease sooner than the keeper thinks.
    pub tick: Bell,
}

impl Belfry {
    /// Bells for these organisations.
    pub fn new<'a>(organisations: impl Iterator<Item = &'a OrganisationId>) -> Self {
        let organisations = organisations.map(|organisation| (organisation.clone(), Bells::default())).collect();
        Self { organisations, tick: Bell::default() }
    }

    /// The bells of an organisation.
    pub fn of(&self, organisation: &OrganisationId) -> Option<&Bells> {
        self.organisations.get(organisation)
    }

    /// Rings for what these changes are work for.
    pub fn changed(&self, leases: &[Lease], now: Timestamp) {
        for lease in leases {
            if let Some(bells) = self.of(&lease.organisation) {
                bells.changed(lease, now);
            }
        }
        if let Some(next) = leases.iter().filter_map(|lease| lease.tick_at).min() {
            self.tick.ring_before(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use homeward_types::SystemClock;
    use homeward_types::limits::after;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_is_woken_for_what_comes_before_its_time_only() {
        let (bell, clock, shutdown) = (Bell::default(), SystemClock, CancellationToken::new());
        let (soon, later) = (after(clock.now(), LOOK / 4), after(clock.now(), LOOK / 2));
        bell.ring_before(later);
        let begun = Instant::now();
        assert!(bell.wait(Some(soon), &clock, &shutdown).await, "while it is awake, every ring counts");
        assert!(begun.elapsed() < LOOK / 8);
        for (ring, woken) in [(later, false), (soon, true)] {
            let begun = Instant::now();
            let sleeper = bell.wait(Some(later), &clock, &shutdown);
            let ringer = async {
                tokio::task::yield_now().await;
                bell.ring_before(ring);
            };
            assert!(tokio::join!(sleeper, ringer).0);
            assert_eq!(begun.elapsed() < LOOK / 8, woken);
        }
        shutdown.cancel();
        assert!(!bell.wait(None, &clock, &shutdown).await);
        bell.ring_before(later);
        assert!(tokio::time::timeout(LOOK, bell.rung()).await.is_ok(), "who stopped sleeping hears everything again");
    }
}
