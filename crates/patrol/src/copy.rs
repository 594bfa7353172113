//! Patrol's copy of a lease, and when it is read back (pure).

pub mod store;

use chrono::TimeDelta;
use homeward_chassis::telemetry::TraceContext;
use homeward_types::limits::after;
use homeward_types::{AccountId, LeaseId, Limits, OrganisationId, Timestamp};

/// When leases that were out are read once more after their end.
const TAIL: [TimeDelta; 3] = [TimeDelta::hours(1), TimeDelta::hours(6), TimeDelta::hours(24)];

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
    /// Whether it is to be read back now: while open, until no late effect can come any more, and at the tail times.
    pub fn is_due(&self, limits: &Limits, now: Timestamp) -> bool {
        let Some(closed_at) = self.closed_at.filter(|_| !self.open) else { return self.open };
        // What ended without ever being out may still be moved by a lend that was on its way.
        let late_until = after(after(closed_at, limits.late_limit), limits.read_lag);
        now <= late_until || self.is_tail(closed_at, now)
    }

    /// Whether the read that is due now is the next tail read.
    pub fn is_tail_read(&self, now: Timestamp) -> bool {
        self.closed_at.is_some_and(|closed_at| !self.open && self.is_tail(closed_at, now))
    }

    fn is_tail(&self, closed_at: Timestamp, now: Timestamp) -> bool {
        let next = usize::try_from(self.tail_reads).ok().and_then(|done| TAIL.get(done));
        self.ever_out && next.is_some_and(|wait| now >= closed_at + *wait)
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
        assert!(open.is_due(&Limits::default(), now));
    }

    #[test]
    fn an_ended_lease_is_read_until_no_late_effect_can_come_and_at_the_tail_times() {
        // late_limit + read_lag = 11 min
        let cases = [
            (TimeDelta::minutes(10), 0, true, true),
            (TimeDelta::minutes(10), 0, false, true),
            (TimeDelta::minutes(12), 0, true, false),
            (TimeDelta::minutes(61), 0, true, true),
            (TimeDelta::minutes(61), 0, false, false),
            (TimeDelta::minutes(61), 1, true, false),
            (TimeDelta::hours(7), 1, true, true),
            (TimeDelta::hours(24), 2, true, true),
            (TimeDelta::hours(30), 3, true, false),
        ];
        for (ago, tail_reads, ever_out, due) in cases {
            let (copy, now) = closed(ago, tail_reads, ever_out);
            assert_eq!(copy.is_due(&Limits::default(), now), due, "{ago} ago, {tail_reads} tail reads, out {ever_out}");
        }
    }
}
