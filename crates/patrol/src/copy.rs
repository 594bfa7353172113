//! Patrol's copy of a lease, and when it is read back (pure).

pub mod store;

use std::time::Duration;

use chrono::TimeDelta;
use homeward_chassis::telemetry::TraceContext;
use homeward_types::limits::after;
use homeward_types::{AccountId, LeaseId, Limits, OrganisationId, Timestamp};

/// When leases that were out are read once more after their end.
const TAIL: [TimeDelta; 3] = [TimeDelta::hours(1), TimeDelta::hours(6), TimeDelta::hours(24)];

/// No lease is due again sooner than this.
const LEAST: Duration = Duration::from_millis(1);

/// How long the copy of an ended lease is kept: the last tail read, and an hour for it to be late.
pub const KEPT: TimeDelta = TimeDelta::hours(25);

/// What policy said about a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseCopy {
    /// Which.
    pub id: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose.
    pub account: AccountId,
    /// The lease's version.
    pub version: i64,
    /// Whether it has not ended.
    pub open: bool,
    /// How it ended; empty while open.
    pub ended: String,
    /// When it was opened; unset for an id that never was.
    pub opened_at: Option<Timestamp>,
    /// When it is over at the latest.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
    /// Whether policy ever saw the account out under it.
    pub ever_out: bool,
    /// When patrol's own reads first showed the account out, since the last that did not.
    pub first_seen_out: Option<Timestamp>,
    /// Reads since the end that were tail reads.
    pub tail_reads: i64,
    /// The trace of the event that told it.
    pub trace: TraceContext,
}

impl LeaseCopy {
    /// Until when a late effect of ours may still come, and a read that is behind may hide it; `None` while open.
    pub fn late_until(&self, limits: &Limits) -> Option<Timestamp> {
        let closed_at = self.closed_at.filter(|_| !self.open)?;
        Some(after(after(closed_at, limits.late_limit), limits.read_lag))
    }

    /// When it is read again after a read that began then: at the next patrol while it is open or something is wrong, and
    /// until a read began after no late effect can come any more; then at the tail times; then never.
    ///
    /// The wire does not tell yet whether a lease ever had an unknown attempt, so every one that was out gets tail reads.
    pub fn next_read(&self, limits: &Limits, begun_at: Timestamp, wrong: bool) -> Option<Timestamp> {
        // Half the wait is less than the next patrol is away, and later than this one began.
        let next_patrol = after(begun_at, (limits.patrol / 2).max(LEAST));
        let (Some(late_until), Some(closed_at)) = (self.late_until(limits), self.closed_at) else { return Some(next_patrol) };
        if wrong || begun_at < late_until {
            return Some(next_patrol);
        }
        let next = usize::try_from(self.tails_read(begun_at)).ok().and_then(|done| TAIL.get(done));
        next.filter(|_| self.ever_out).map(|wait| closed_at + *wait)
    }

    /// How many tail reads are done after a read that began then.
    pub fn tails_read(&self, begun_at: Timestamp) -> i64 {
        let Some(closed_at) = self.closed_at.filter(|_| !self.open) else { return 0 };
        let passed = TAIL.iter().filter(|wait| begun_at >= closed_at + **wait).count();
        i64::try_from(passed).unwrap_or(i64::MAX).max(self.tail_reads)
    }

    /// Whether two persons released the account: being out is then no news.
    pub fn is_released(&self) -> bool {
        self.ended == "released"
    }

    /// Whether no account was ever moved under this id.
    pub fn is_never_lent(&self) -> bool {
        self.ended == "never_lent"
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn closed(ago: TimeDelta, tail_reads: i64, ever_out: bool) -> (LeaseCopy, Timestamp) {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let copy = LeaseCopy {
            id: LeaseId::from_uuid(uuid::Uuid::nil()),
            organisation: "acme".parse().unwrap(),
            account: "mia".parse().unwrap(),
            version: 5,
            open: false,
            ended: "home".into(),
            opened_at: None,
            due_at: None,
            closed_at: Some(now - ago),
            ever_out,
            first_seen_out: None,
            tail_reads,
            trace: TraceContext::default(),
        };
        (copy, now)
    }

    #[test]
    fn an_open_lease_is_read_back_at_every_patrol() {
        let (copy, now) = closed(TimeDelta::days(3), 3, true);
        let open = LeaseCopy { open: true, closed_at: None, ..copy };
        assert_eq!(open.next_read(&Limits::default(), now, false), Some(now + TimeDelta::seconds(30)));
    }

    #[test]
    fn an_ended_lease_is_read_until_no_late_effect_can_come_and_at_the_tail_times() {
        // late_limit + read_lag = 11 min; (ended so long ago, tail reads done, was out) → (read again in, tail reads then)
        let soon = Some(TimeDelta::seconds(30));
        let cases = [
            (TimeDelta::minutes(10), 0, true, soon, 0),
            (TimeDelta::minutes(10), 0, false, soon, 0),
            (TimeDelta::minutes(12), 0, true, Some(TimeDelta::minutes(48)), 0),
            (TimeDelta::minutes(12), 0, false, None, 0),
            (TimeDelta::minutes(61), 0, true, Some(TimeDelta::minutes(5 * 60 - 1)), 1),
            (TimeDelta::hours(7), 1, true, Some(TimeDelta::hours(17)), 2),
            (TimeDelta::hours(7), 0, true, Some(TimeDelta::hours(17)), 2),
            (TimeDelta::hours(30), 2, true, None, 3),
        ];
        for (ago, tail_reads, ever_out, next, then) in cases {
            let (copy, now) = closed(ago, tail_reads, ever_out);
            let name = format!("{ago} ago, {tail_reads} tail reads, out {ever_out}");
            assert_eq!(copy.next_read(&Limits::default(), now, false), next.map(|wait| now + wait), "{name}");
            assert_eq!(copy.tails_read(now), then, "{name}");
            assert_eq!(
                copy.next_read(&Limits::default(), now, true),
                soon.map(|wait| now + wait),
                "{name}, and something is wrong"
            );
        }
    }
}
