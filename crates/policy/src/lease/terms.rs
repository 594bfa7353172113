//! The limits that a lease opened with.

use std::time::Duration;

use chrono::TimeDelta;
use homeward_types::limits::{after, backoff};
use homeward_types::{LeaseId, Limits, Timestamp};

/// The limits that decide about one lease. It keeps those it opened with, whatever the configuration says later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// How far behind a placement read may be.
    pub read_lag: Duration,
    /// How late a write may take effect at the provider.
    pub late_limit: Duration,
    /// A lend that would leave less time than this before `due_at` is not sent.
    pub useful_window: Duration,
    /// First wait before something is tried or read again.
    pub retry: Duration,
    /// Longest wait between two tries of a return.
    pub retry_max: Duration,
    /// Longest wait between two reads while a move is expected to show.
    pub probe: Duration,
    /// Wait between two reads while nothing is expected to happen.
    pub patrol: Duration,
    /// Two calls that both miss an account must be this far apart.
    pub gone_apart: Duration,
    /// Overdue for this long is an incident.
    pub overdue_incident: Duration,
    /// This many failed returns are an incident.
    pub failed_returns_incident: u32,
}

impl From<&Limits> for Terms {
    fn from(limits: &Limits) -> Self {
        Self {
            read_lag: limits.read_lag,
            late_limit: limits.late_limit,
            useful_window: limits.useful_window,
            retry: limits.return_retry,
            retry_max: limits.return_retry_max,
            probe: limits.probe,
            patrol: limits.patrol,
            gone_apart: limits.gone_apart,
            overdue_incident: limits.overdue_incident,
            failed_returns_incident: limits.failed_returns_incident,
        }
    }
}

impl Terms {
    /// When a lend last sent at `last_send` can have no effect that a read begun then would miss.
    pub fn settled_after(&self, last_send: Timestamp) -> Timestamp {
        after(after(last_send, self.late_limit), self.read_lag)
    }

    /// The wait before the next read, after `reads` of them showed nothing new.
    pub fn read_wait(&self, reads: u32) -> Duration {
        backoff(self.retry, self.probe.max(self.retry), reads)
    }

    /// The wait before the next return, after `failed` of them: capped, and spread over the upper half so that many
    /// leases do not come at once. The spread depends on the lease and the try, not on chance.
    pub fn return_wait(&self, lease: LeaseId, failed: u32) -> Duration {
        let whole = backoff(self.retry, self.retry_max, failed.saturating_sub(1));
        let half = whole / 2;
        half + half * spread(lease, failed) / 255
    }
}

/// A number from 0 to 255 that differs from lease to lease and from try to try.
fn spread(lease: LeaseId, failed: u32) -> u32 {
    let (high, low) = lease.uuid().as_u64_pair();
    // Multiplying by the golden ratio spreads neighbours evenly (Knuth, 6.4).
    let mixed = (high ^ low).wrapping_add(u64::from(failed)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    u32::try_from(mixed).unwrap_or(255)
}

/// `at - by`, which stays at `at` only for durations no calendar holds.
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_sub_signed(by)).unwrap_or(at)
}
