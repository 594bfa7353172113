//! Times, caps and lags: data, never sleeping tasks. A lease keeps the values that it opened with.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// All settable limits of one organisation. Durations are written like `4h` or `90s` in configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long a request waits for its approvals. Default 24 h.
    #[serde(with = "humantime_serde")]
    pub approval: Duration,
    /// How long a proof counts. Default 24 h.
    #[serde(with = "humantime_serde")]
    pub proof_valid: Duration,
    /// How long an approved recovery waits for a place under the exposure cap. Default 24 h.
    #[serde(with = "humantime_serde")]
    pub slot_wait: Duration,
    /// How long after its grant a lend may still be sent. Default 15 min.
    #[serde(with = "humantime_serde")]
    pub grant_valid: Duration,
    /// How long an account may be out. Default 4 h.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// No lease may last longer than this from its opening, extensions included. Default 24 h.
    #[serde(with = "humantime_serde")]
    pub lease_max: Duration,
    /// A lend that would leave less time than this is not sent. Default 30 min.
    #[serde(with = "humantime_serde")]
    pub useful_window: Duration,
    /// How far behind a placement read may be. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub read_lag: Duration,
    /// How far behind a factor read may be. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub factor_lag: Duration,
    /// How late a write may take effect at the provider. Default 10 min. The bound that we publish.
    #[serde(with = "humantime_serde")]
    pub late_limit: Duration,
    /// Total time for one call to the provider. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub client_timeout: Duration,
    /// A worker's time-limited right to a row. Default 60 s; longer than `client_timeout`.
    #[serde(with = "humantime_serde")]
    pub claim: Duration,
    /// First wait before an unanswered command is asked again; doubles to `re_ask_max`. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub re_ask: Duration,
    /// Longest wait between two askings. Default 5 min.
    #[serde(with = "humantime_serde")]
    pub re_ask_max: Duration,
    /// First wait before a failed return is tried again; doubles to `return_retry_max`. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub return_retry: Duration,
    /// Longest wait between two tries of a return. Default 5 min.
    #[serde(with = "humantime_serde")]
    pub return_retry_max: Duration,
    /// Wait between two probes of a silent provider while anything is overdue. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub probe: Duration,
    /// Wait between two patrols. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub patrol: Duration,
    /// Overdue for this long is an incident. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub overdue_incident: Duration,
    /// Two calls that both miss an account must be this far apart before it counts as gone. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub gone_apart: Duration,
    /// How often the directory is read through. Default 5 min.
    #[serde(with = "humantime_serde")]
    pub sync: Duration,
    /// How often the watch list is read. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub watch: Duration,
    /// Knowledge older than this is too old at intake. Default 15 min.
    #[serde(with = "humantime_serde")]
    pub too_old: Duration,
    /// Not seen for longer than this asks for the high tier. Default 90 days.
    #[serde(with = "humantime_serde")]
    pub unseen: Duration,
    /// An address changed more recently than this asks for the high tier. Default 30 days.
    #[serde(with = "humantime_serde")]
    pub mail_changed: Duration,
    /// How long after its end a recovery can be repudiated. Default 7 days.
    #[serde(with = "humantime_serde")]
    pub repudiation: Duration,
    /// Failed returns of one lease that make an incident. Default 5.
    pub failed_returns_incident: u32,
    /// Recent requests for one account that ask for the high tier. Default 3.
    pub many_requests: u32,
    /// Share of all accounts that may be out at once, in percent; at least one account. Default 1.
    pub exposure_percent: f64,
    /// Policy's own hard cap, in percent; at least one account. Default 2.
    pub hard_cap_percent: f64,
    /// Accounts in one move call. Default 100.
    pub batch: usize,
    /// Disable an account that is overdue. Default off.
    pub contain_overdue: bool,
    /// Disable an account whose owner said "this was not me". Default on.
    pub contain_repudiated: bool,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Self {
            approval: seconds(DAY),
            proof_valid: seconds(DAY),
            slot_wait: seconds(DAY),
            grant_valid: seconds(15 * MINUTE),
            lease: seconds(4 * HOUR),
            lease_max: seconds(DAY),
            useful_window: seconds(30 * MINUTE),
            read_lag: seconds(MINUTE),
            factor_lag: seconds(MINUTE),
            late_limit: seconds(10 * MINUTE),
            client_timeout: seconds(30),
            claim: seconds(MINUTE),
            re_ask: seconds(30),
            re_ask_max: seconds(5 * MINUTE),
            return_retry: seconds(1),
            return_retry_max: seconds(5 * MINUTE),
            probe: seconds(5),
            patrol: seconds(MINUTE),
            overdue_incident: seconds(10 * MINUTE),
            gone_apart: seconds(10 * MINUTE),
            sync: seconds(5 * MINUTE),
            watch: seconds(2),
            too_old: seconds(15 * MINUTE),
            unseen: seconds(90 * DAY),
            mail_changed: seconds(30 * DAY),
            repudiation: seconds(7 * DAY),
            failed_returns_incident: 5,
            many_requests: 3,
            exposure_percent: 1.0,
            hard_cap_percent: 2.0,
            batch: 100,
            contain_overdue: false,
            contain_repudiated: true,
        }
    }
}

impl Limits {
    /// The named profile `short`, for tests and the demo: the same relations, about 600 times faster.
    ///
    /// No code path knows of it; it is data like any other. Times that people wait for (approval, lease) shrink less,
    /// so that a slow machine does not run into them. A simulator that plays against it shrinks its lateness alike.
    pub fn short() -> Self {
        let ms = Duration::from_millis;
        Self {
            approval: seconds(120),
            proof_valid: seconds(120),
            slot_wait: seconds(120),
            grant_valid: seconds(20),
            lease: seconds(60),
            lease_max: seconds(240),
            useful_window: seconds(2),
            read_lag: ms(100),
            factor_lag: ms(100),
            late_limit: seconds(1),
            client_timeout: seconds(3),
            claim: seconds(6),
            re_ask: ms(1_000),
            re_ask_max: seconds(5),
            return_retry: ms(50),
            return_retry_max: seconds(2),
            probe: ms(250),
            patrol: seconds(1),
            overdue_incident: seconds(5),
            gone_apart: seconds(1),
            sync: seconds(5),
            watch: ms(50),
            ..Self::default()
        }
    }

    /// How many accounts may be out at once in an organisation of `accounts` (recovery's slot counter), at least one.
    pub fn exposure_cap(&self, accounts: u64) -> u64 {
        share(accounts, self.exposure_percent)
    }

    /// How many leases policy opens at once in an organisation of `accounts`, at least one.
    pub fn hard_cap(&self, accounts: u64) -> u64 {
        share(accounts, self.hard_cap_percent)
    }

    /// The first sentence about what cannot work, if any.
    ///
    /// # Errors
    /// A sentence that names the setting, what it is and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let ordered = [
            ("client_timeout", self.client_timeout, "claim", self.claim),
            ("useful_window", self.useful_window, "lease", self.lease),
            ("lease", self.lease, "lease_max", self.lease_max),
            ("re_ask", self.re_ask, "re_ask_max", self.re_ask_max),
            ("return_retry", self.return_retry, "return_retry_max", self.return_retry_max),
        ];
        for (lesser, a, greater, b) in ordered {
            if a > b {
                return Err(format!(
                    "{lesser} ({}) must not be longer than {greater} ({})",
                    humantime_serde::re::humantime::format_duration(a),
                    humantime_serde::re::humantime::format_duration(b)
                ));
            }
        }
        if self.lease.is_zero() || self.grant_valid.is_zero() || self.claim.is_zero() || self.watch.is_zero() {
            return Err("lease, grant_valid, claim and watch must be longer than nothing".into());
        }
        if self.batch == 0 || self.batch > 10_000 {
            return Err(format!("batch ({}) must be between 1 and 10000", self.batch));
        }
        for (name, percent) in [("exposure_percent", self.exposure_percent), ("hard_cap_percent", self.hard_cap_percent)] {
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(format!("{name} ({percent}) must be more than 0 and at most 100"));
            }
        }
        if self.exposure_percent > self.hard_cap_percent {
            return Err(format!(
                "exposure_percent ({}) must not be above hard_cap_percent ({})",
                self.exposure_percent, self.hard_cap_percent
            ));
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "account numbers are far below 2^52 and the result is rounded down on purpose"
)]
fn share(accounts: u64, percent: f64) -> u64 {
    ((accounts as f64 * percent / 100.0).floor() as u64).max(1)
}

/// `at + by`, which stays at `at` only for durations no calendar holds.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(Timestamp::MAX_UTC)
}

/// The `n`th wait of a backoff that starts at `first` and doubles to `longest` (n = 0 gives `first`).
pub fn backoff(first: Duration, longest: Duration, n: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(n.min(20))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_are_possible() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert_eq!(Limits::short().check(), Ok(()));
    }

    #[test]
    fn an_impossible_limit_is_named() {
        let limits = Limits { claim: Duration::from_secs(1), ..Limits::default() };
        assert_eq!(limits.check(), Err("client_timeout (30s) must not be longer than claim (1s)".into()));
    }

    #[test]
    fn a_cap_is_never_less_than_one_account() {
        assert_eq!(Limits::default().exposure_cap(50), 1);
        assert_eq!(Limits::default().exposure_cap(849), 8);
        assert_eq!(Limits::default().hard_cap(849), 16);
    }

    #[test]
    fn a_backoff_doubles_and_stops_at_its_longest() {
        let waits: Vec<u64> = (0..5).map(|n| backoff(seconds(1), seconds(5), n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }
}
