//! Rule 5 of the procedure: when is it shown that the user set up a new factor? Pure; states are plain values.
//!
//! *By reads.* The baseline is the first read that showed the factor absent and began after the account was seen out. Then two
//! reads must show it enrolled, at least `lag` apart, both begun at least `lag` after the baseline, with no absent between.
//!
//! *By the provider's log.* An enrolment later than the placement's version, provider time against provider time, with no
//! removal at or after it. Such a line comes late, and the factor may be gone again by then, so reads must not speak against
//! it: if any read since the account went out told the factor, the newest one must show it enrolled, and begin at least `lag`
//! after the baseline if there is one. A version that is far from the moment at which the account was seen out is none of
//! this stay's (some providers bring an old one back), and then the log proves nothing.

use chrono::TimeDelta;
use homeward_types::limits::after;
use homeward_types::{Factor, PlacementVersion, Timestamp};

/// How far the provider's version of the placement may be from the time at which we saw the account out: clocks, lateness
/// and lag together are far less.
const SAME_STAY: TimeDelta = TimeDelta::hours(1);

/// What is known since the account was seen out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// When policy saw the account out (our clock).
    pub seen_out_at: Timestamp,
    /// The placement's version then (epoch milliseconds of the provider's clock).
    pub out_version: Option<PlacementVersion>,
    /// The newest read that told the factor.
    pub newest: Option<Told>,
    /// The baseline: when the first read began that showed it absent.
    pub absent_at: Option<Timestamp>,
    /// When the first read of the present run began that counts for an enrolled factor.
    pub enrolled_at: Option<Timestamp>,
    /// The newest enrolment and removal in the provider's log that are later than the placement.
    pub logged: Logged,
    /// Once enrolment is shown, nothing changes any more.
    pub proof: Option<Proof>,
}

/// What a read told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Told {
    /// When it began.
    pub begun_at: Timestamp,
    /// Enrolled, or absent.
    pub enrolled: bool,
}

/// Lines of the provider's log, in epoch milliseconds of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Logged {
    /// The newest enrolment.
    pub enrolled: Option<i64>,
    /// The newest removal.
    pub removed: Option<i64>,
}

/// What shows the enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proof {
    /// When the deciding read began.
    pub seen_at: Timestamp,
    /// Which reads or which line of the log, in words.
    pub words: String,
}

/// What a fact led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    /// Nothing to tell.
    Nothing,
    /// The baseline is there.
    Baseline,
    /// Enrolment is shown.
    Enrolled,
}

impl Evidence {
    /// Nothing is known yet of an account that was seen out then.
    pub fn new(seen_out_at: Timestamp, out_version: Option<PlacementVersion>) -> Self {
        Self {
            seen_out_at,
            out_version,
            newest: None,
            absent_at: None,
            enrolled_at: None,
            logged: Logged::default(),
            proof: None,
        }
    }

    /// Takes in a read that began then.
    pub fn read(&mut self, factor: Factor, begun_at: Timestamp, lag: std::time::Duration) -> News {
        let enrolled = match factor {
            Factor::Enrolled => true,
            Factor::Absent => false,
            Factor::Unknown => return News::Nothing,
        };
        let late = self.newest.is_some_and(|newest| begun_at <= newest.begun_at);
        if self.proof.is_some() || begun_at <= self.seen_out_at || late {
            return News::Nothing;
        }
        self.newest = Some(Told { begun_at, enrolled });
        if !enrolled {
            self.enrolled_at = None;
            if self.absent_at.is_some() {
                return News::Nothing;
            }
            self.absent_at = Some(begun_at);
            return News::Baseline;
        }
        self.count(begun_at, lag);
        self.judge_log(begun_at, lag)
    }

    /// Takes in lines of the log, read at `received_at`. Repeats and any order are fine.
    pub fn log(&mut self, lines: Logged, received_at: Timestamp, lag: std::time::Duration) -> News {
        if self.proof.is_some() {
            return News::Nothing;
        }
        let of_this_stay = |at: &i64| self.version_of_this_stay().is_some_and(|version| *at > version);
        let (enrolled, removed) = (lines.enrolled.filter(of_this_stay), lines.removed.filter(of_this_stay));
        self.logged.enrolled = self.logged.enrolled.max(enrolled);
        self.logged.removed = self.logged.removed.max(removed);
        self.judge_log(received_at, lag)
    }

    /// When a read can next tell something new; `None` when none can.
    pub fn next_useful_read(&self, lag: std::time::Duration) -> Option<Timestamp> {
        if self.proof.is_some() {
            return None;
        }
        let begun_after = self.seen_out_at + TimeDelta::microseconds(1);
        Some(match (self.enrolled_at, self.absent_at) {
            (Some(first), _) => after(first, lag),
            // An enrolment of the log waits for the first read that may confirm it, which is the first that counts at all.
            (None, Some(baseline)) => after(baseline, lag),
            (None, None) => begun_after,
        })
    }

    /// Counts an enrolled read; the second that counts is the proof.
    fn count(&mut self, begun_at: Timestamp, lag: std::time::Duration) {
        let Some(baseline) = self.absent_at.filter(|baseline| after(*baseline, lag) <= begun_at) else { return };
        match self.enrolled_at {
            None => self.enrolled_at = Some(begun_at),
            Some(first) if after(first, lag) <= begun_at => {
                let words = format!(
                    "the factor was absent in a read begun {} and enrolled in reads begun {} and {}",
                    in_words(baseline),
                    in_words(first),
                    in_words(begun_at)
                );
                self.proof = Some(Proof { seen_at: begun_at, words });
            }
            Some(_) => {}
        }
    }

    /// Whether the log shows the enrolment, and no read speaks against it; or the reads have shown it just now.
    fn judge_log(&mut self, seen_at: Timestamp, lag: std::time::Duration) -> News {
        if self.proof.is_some() {
            return News::Enrolled;
        }
        let standing = self.logged.enrolled.filter(|at| self.logged.removed.is_none_or(|removed| removed < *at));
        let (Some(enrolled), Some(version)) = (standing, self.out_version) else { return News::Nothing };
        let after_baseline = |told: &Told| self.absent_at.is_none_or(|baseline| after(baseline, lag) <= told.begun_at);
        if !self.newest.is_none_or(|told| told.enrolled && after_baseline(&told)) {
            return News::Nothing;
        }
        let words = format!(
            "the provider's log has an enrolment at {}, later than the move at {} (its own clock), and no read speaks against it",
            in_words(provider_time(enrolled)),
            in_words(provider_time(version.0))
        );
        self.proof = Some(Proof { seen_at, words });
        News::Enrolled
    }

    fn version_of_this_stay(&self) -> Option<i64> {
        let version = self.out_version?.0;
        ((provider_time(version) - self.seen_out_at).abs() <= SAME_STAY).then_some(version)
    }
}

fn provider_time(milliseconds: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(milliseconds).unwrap_or(Timestamp::MIN_UTC)
}

fn in_words(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
