//! Time in ticks, seen from now, and what production is configured with.
//!
//! Every decision is asked as of the same moment; what lies in the past or the future moves instead. So two moments that
//! differ only in their date are one state, and what is too old to matter stops ageing. A tick is an hour.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use homeward_policy::lease;
use homeward_recovery::saga::data;
use homeward_types::{Tier, Timestamp};

/// Ticks from now; negative: ago.
pub type Ticks = i8;

/// Seconds in a tick.
const TICK: i64 = 3_600;

/// The moment at which everything is decided.
pub fn now() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

/// The moment `ticks` from now.
pub fn at(ticks: Ticks) -> Timestamp {
    now() + TimeDelta::seconds(i64::from(ticks) * TICK)
}

/// How many ticks from now a moment lies; between two ticks it counts as the later one.
pub fn ticks(moment: Timestamp) -> Ticks {
    let seconds = (moment - now()).num_milliseconds();
    let whole = seconds.div_euclid(TICK * 1_000) + i64::from(seconds.rem_euclid(TICK * 1_000) > 0);
    Ticks::try_from(whole.clamp(-100, 100)).unwrap_or(0)
}

/// `ticks` as a length of time.
pub fn length(ticks: Ticks) -> Duration {
    Duration::from_secs(u64::try_from(i64::from(ticks) * TICK).unwrap_or(0))
}

/// All limits, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// How far behind a read may be.
    pub read_lag: Ticks,
    /// How late a write may take effect, from its last possible send.
    pub late_limit: Ticks,
    /// How long a worker may hold an attempt.
    pub claim: Ticks,
    /// How long an account may be out.
    pub lease: Ticks,
    /// How long after its grant a lend may be sent.
    pub grant: Ticks,
    /// The least useful time out.
    pub useful_window: Ticks,
    /// Two calls that miss an account must be this far apart.
    pub gone_apart: Ticks,
    /// Wait before a command is asked again.
    pub re_ask: Ticks,
    /// A read that was begun longer ago than this is given up.
    pub look: Ticks,
}

impl Scale {
    /// The smallest numbers that keep every limit apart from the others that it is compared with.
    pub const SMALL: Self =
        Self { read_lag: 1, late_limit: 2, claim: 1, lease: 3, grant: 1, useful_window: 1, gone_apart: 2, re_ask: 1, look: 1 };

    /// What a lease opens with. Waits between two tries are one tick; alarms are not modelled.
    pub fn lease_terms(&self) -> lease::Terms {
        lease::Terms {
            read_lag: length(self.read_lag),
            late_limit: length(self.late_limit),
            useful_window: length(self.useful_window),
            retry: length(1),
            retry_max: length(1),
            probe: length(1),
            patrol: length(1),
            gone_apart: length(self.gone_apart),
            overdue_incident: Duration::ZERO,
            failed_returns_incident: u32::MAX,
        }
    }

    /// What a case begins with.
    pub fn case_terms(&self) -> data::Terms {
        data::Terms {
            tier: Tier::Normal,
            proofs: 1,
            approvers: 1,
            kinds: [].into(),
            approval: length(10).into(),
            proof_valid: length(10).into(),
            slot_wait: length(10).into(),
            grant_valid: length(self.grant).into(),
            lease: length(self.lease).into(),
            re_ask: length(self.re_ask).into(),
            re_ask_max: length(self.re_ask).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_between_two_ticks_counts_as_the_later() {
        assert_eq!(ticks(at(-3)), -3);
        assert_eq!(ticks(at(2)), 2);
        assert_eq!(ticks(now() + TimeDelta::seconds(1)), 1);
        assert_eq!(ticks(now() - TimeDelta::seconds(1)), 0);
    }
}
