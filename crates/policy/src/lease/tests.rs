//! The lease as a table, and as a game against a hostile provider.

mod game;
mod judged;
mod patience;
mod table;

use std::time::Duration;

use chrono::TimeDelta;
use homeward_types::{Factor, LeaseId, PlacementVersion, PolicyId, Timestamp, VersionTrust};

use super::*;

const HOME: &str = "mandatory";
const RECOVERY: &str = "recovery";
const OTHER: &str = "delegated";
const DEFAULT: &str = "default";

const TRUSTED: VersionTrust = VersionTrust { lend_seen: true, return_seen: true };
const UNTRUSTED: VersionTrust = VersionTrust { lend_seen: false, return_seen: false };

/// `n` seconds after the beginning.
fn at(n: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(n)
}

fn policy(name: &str) -> PolicyId {
    name.parse().unwrap()
}

/// Small round numbers, in seconds.
fn terms() -> Terms {
    let s = Duration::from_secs;
    Terms {
        read_lag: s(10),
        late_limit: s(100),
        useful_window: s(50),
        retry: s(2),
        retry_max: s(40),
        probe: s(8),
        patrol: s(30),
        gone_apart: s(60),
        overdue_incident: s(200),
        failed_returns_incident: 3,
    }
}

fn subject() -> Subject {
    Subject {
        lease: LeaseId::from_uuid(uuid::Uuid::from_u128(7)),
        organisation: "acme".parse().unwrap(),
        account: "557058:alice".parse().unwrap(),
        home: policy(HOME),
        recovery_policy: policy(RECOVERY),
        terms: terms(),
    }
}

/// Due 1000 seconds after its opening; the lend may be sent within 90 seconds after the beginning.
fn opened() -> Opened {
    Opened {
        subject: subject(),
        home_version: Some(PlacementVersion(1)),
        seen_before: None,
        factor: Factor::Absent,
        lasts: Duration::from_secs(1_000),
        not_after: at(90),
    }
}

fn reading(place: Place, version: i64, begun: i64) -> Reading {
    Reading { place, version: Some(PlacementVersion(version)), begun_at: at(begun) }
}

fn out(version: i64, begun: i64) -> Reading {
    reading(Place::Out(policy(RECOVERY)), version, begun)
}

fn home(version: i64, begun: i64) -> Reading {
    reading(Place::Protecting(policy(HOME)), version, begun)
}

fn asked() -> Event {
    Event::ReturnAsked(Asked { subject: subject(), reason: "cancelled".into() })
}

/// A lease with its live attempts, moved by events.
#[derive(Debug, Clone, Default)]
struct Case {
    lease: Option<Lease>,
    attempts: Vec<Attempt>,
}

impl Case {
    #[expect(clippy::needless_pass_by_value, reason = "events are made in place: a reference would only be noise")]
    fn at(mut self, now: i64, event: Event) -> Self {
        self.apply(&event, at(now));
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "as above")]
    fn at_moment(mut self, now: Timestamp, event: Event) -> Self {
        self.apply(&event, now);
        self
    }

    fn apply(&mut self, event: &Event, now: Timestamp) -> Decision {
        let decision = decide(self.lease.as_ref(), &self.attempts, event, now);
        self.keep(&decision);
        decision
    }

    /// As the store does: what changed is written, what decides nothing any more is not loaded again.
    fn keep(&mut self, decision: &Decision) {
        self.lease = decision.lease.clone();
        for changed in &decision.attempts {
            self.attempts.retain(|attempt| attempt.number != changed.number);
            self.attempts.push(changed.clone());
        }
        self.attempts.retain(Attempt::is_live);
        self.attempts.sort_by_key(|attempt| attempt.number);
    }

    fn state(&self) -> &'static str {
        self.lease.as_ref().map_or("none", |lease| lease.state.name())
    }

    fn lease(&self) -> &Lease {
        self.lease.as_ref().unwrap()
    }
}

fn sent(number: u32, claimed_until: i64) -> Event {
    Event::AttemptSent(Sending { number, claimed_until: at(claimed_until) })
}

fn answered(number: u32, answer: Answer) -> Event {
    Event::AttemptAnswered { number, answer }
}

fn read(reading: Reading) -> Event {
    Event::Read { reading, trust: TRUSTED }
}
