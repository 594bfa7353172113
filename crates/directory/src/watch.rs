//! Accounts in recovery that are looked at closely.
//!
//! A round reads the factors of all watched accounts that are due, in `ceil(n / 100)` calls for `n` of them, four at once, and
//! writes what it saw in one transaction. An account is due again when a read can tell something new by rule 5, and not before
//! the interval has passed, which is `limits.watch` for up to 400 watched accounts and one `limits.watch` more for every
//! further 400: so that an interval of `limits.watch` never asks more than four calls of the provider.

pub mod claim;
pub mod evidence;
pub mod log;
pub mod round;
pub mod store;

use std::time::Duration;

use homeward_chassis::telemetry::TraceContext;
use homeward_types::limits::after;
use homeward_types::{AccountId, Email, Factor, LeaseId, Limits, MessageId, OrganisationId, PlacementVersion, Timestamp};

use evidence::{Evidence, News};

/// Accounts in one interval.
const IN_AN_INTERVAL: u64 = 400;

/// One account that recovery wants watched, and what was seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The recovery's lease.
    pub lease: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose.
    pub account: AccountId,
    /// The address that we believe it holds.
    pub email: Option<Email>,
    /// How long at the most.
    pub until: Timestamp,
    /// What was seen.
    pub evidence: Evidence,
    /// When something was last reported.
    pub reported_at: Option<Timestamp>,
    /// When it is due; `None` when no read can tell more.
    pub next_read_at: Option<Timestamp>,
    /// When recovery said that it is over.
    pub ended_at: Option<Timestamp>,
    /// Grows with each change of what was seen or asked.
    pub version: i64,
    /// Where the newest command's consumption is in its trace.
    pub trace: TraceContext,
    /// The newest command.
    pub message: MessageId,
}

/// What recovery asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The recovery's lease.
    pub lease: LeaseId,
    /// Where.
    pub organisation: OrganisationId,
    /// Whose.
    pub account: AccountId,
    /// The address that recovery knows.
    pub email: Option<Email>,
    /// When policy saw the account out.
    pub seen_out_at: Timestamp,
    /// The placement's version then.
    pub out_version: Option<PlacementVersion>,
    /// How long at the most; `None` for as long as a lease can be.
    pub until: Option<Timestamp>,
    /// The consumption of the command.
    pub trace: TraceContext,
    /// The command.
    pub message: MessageId,
}

/// What is reported of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The baseline.
    Absent,
    /// The proof.
    Enrolled,
}

impl Watch {
    /// A watch that begins.
    pub fn new(asked: Asked, limits: &Limits) -> Self {
        let evidence = Evidence::new(asked.seen_out_at, asked.out_version);
        Self {
            lease: asked.lease,
            organisation: asked.organisation,
            account: asked.account,
            email: asked.email,
            until: asked.until.unwrap_or_else(|| after(asked.seen_out_at, limits.lease_max)),
            next_read_at: evidence.next_useful_read(Duration::ZERO),
            evidence,
            reported_at: None,
            ended_at: None,
            version: 1,
            trace: asked.trace,
            message: asked.message,
        }
    }

    /// Takes in a repeated command: it asks for a read and for what is known. One that comes after the end is a late repeat,
    /// unless the account was seen out anew since.
    pub fn ask_again(&mut self, asked: Asked, now: Timestamp, limits: &Limits) {
        if self.ended_at.is_some_and(|ended| asked.seen_out_at <= ended) {
            return;
        }
        let version = self.version + 1;
        if asked.seen_out_at > self.evidence.seen_out_at {
            *self = Self { version, ..Self::new(asked, limits) };
            return;
        }
        self.version = version;
        self.until = asked.until.map_or(self.until, |until| until.max(self.until));
        self.email = asked.email.or(self.email.take());
        (self.trace, self.message) = (asked.trace, asked.message);
        let useful = self.evidence.next_useful_read(limits.factor_lag).map(|useful| useful.max(now));
        self.next_read_at = self.next_read_at.min(useful).or(useful);
    }

    /// Takes in that it is over.
    pub fn end(&mut self, now: Timestamp) {
        if self.ended_at.is_none() {
            (self.ended_at, self.next_read_at) = (Some(now), None);
            self.version += 1;
        }
    }

    /// What is known and worth telling one who asks again. What was told a moment ago is still on its way.
    pub fn to_repeat(&self, now: Timestamp, limits: &Limits) -> Option<Report> {
        let on_its_way = self.reported_at.is_some_and(|at| now < after(at, limits.re_ask / 2));
        if self.ended_at.is_some() || on_its_way {
            return None;
        }
        match (&self.evidence.proof, self.evidence.absent_at) {
            (Some(_), _) => Some(Report::Enrolled),
            (None, Some(_)) => Some(Report::Absent),
            (None, None) => None,
        }
    }

    /// Takes in a read. Says what to report.
    pub fn read(&mut self, factor: Factor, begun_at: Timestamp, interval: Duration, limits: &Limits) -> Option<Report> {
        let news = self.evidence.read(factor, begun_at, limits.factor_lag);
        self.next_read_at = self.evidence.next_useful_read(limits.factor_lag).map(|useful| useful.max(after(begun_at, interval)));
        report(news)
    }

    /// Whether nothing differs from `before` but when the last read was and when the next is: not worth a row of its own.
    pub fn says_as_much_as(&self, before: &Self) -> bool {
        let told = |watch: &Self| watch.evidence.newest.map(|told| told.enrolled);
        let timeless = |watch: &Self| {
            let evidence = Evidence { newest: None, ..watch.evidence.clone() };
            Self { evidence, next_read_at: None, ..watch.clone() }
        };
        told(self) == told(before) && timeless(self) == timeless(before)
    }

    /// Takes in lines of the provider's log. Says what to report.
    pub fn log(&mut self, lines: evidence::Logged, received_at: Timestamp, limits: &Limits) -> Option<Report> {
        let standing = self.evidence.logged;
        let news = self.evidence.log(lines, received_at, limits.factor_lag);
        let useful = self.evidence.next_useful_read(limits.factor_lag);
        if useful.is_none() {
            self.next_read_at = None;
        } else if standing != self.evidence.logged {
            self.next_read_at = useful.map(|useful| useful.max(received_at));
        }
        report(news)
    }
}

fn report(news: News) -> Option<Report> {
    match news {
        News::Nothing => None,
        News::Baseline => Some(Report::Absent),
        News::Enrolled => Some(Report::Enrolled),
    }
}

/// The time between two reads of one account while so many are watched.
pub fn interval(watched: u64, limits: &Limits) -> Duration {
    let times = u32::try_from(watched.div_ceil(IN_AN_INTERVAL).max(1)).unwrap_or(u32::MAX);
    limits.watch.saturating_mul(times)
}

/// The wait of a round for more accounts to become due, so that one transaction serves many.
pub fn gathering(limits: &Limits) -> Duration {
    limits.watch / 4
}

#[cfg(test)]
mod tests;
