//! The saga without a database: a case that is driven by hand, and what every test needs of it.

mod chance;
mod outcomes;
mod proofs;
mod rules;
mod stories;
mod table;

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use homeward_saga::{Event, Progress, plan};
use homeward_types::{Factor, LeaseEnd, Limits, PersonId, ProofKind, Refusal, Tier, Timestamp};

use super::RecoverySaga;
use super::command::{Command, Notice};
use super::data::{Data, Delivery, LeaseFact, LeaseState, Millis, Recipient, Terms};
use super::input::{Input, ResetAnswer};

pub(crate) fn start_of_time() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn person(name: &str) -> PersonId {
    name.parse().unwrap()
}

pub(crate) fn terms(proofs: usize, approvers: usize) -> Terms {
    let limits = Limits::default();
    Terms {
        tier: if approvers > 1 { Tier::High } else { Tier::Normal },
        proofs,
        approvers,
        kinds: [].into(),
        approval: limits.approval.into(),
        proof_valid: limits.proof_valid.into(),
        slot_wait: limits.slot_wait.into(),
        grant_valid: limits.grant_valid.into(),
        lease: limits.lease.into(),
        re_ask: limits.re_ask.into(),
        re_ask_max: limits.re_ask_max.into(),
    }
}

/// One recovery in a test's hands, with its own time.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) progress: Progress<Data>,
    pub(crate) now: Timestamp,
    /// What the last move asked for.
    pub(crate) asked: Vec<Command>,
    /// Whether the last move changed anything.
    pub(crate) changed: bool,
}

impl Case {
    pub(crate) fn with(terms: Terms) -> Self {
        let now = start_of_time();
        let data = Data::new("acme".parse().unwrap(), "mia".parse().unwrap(), person("rita"), terms);
        let mut case = Self { progress: Progress::fresh(data, now), now, asked: vec![], changed: false };
        case.on(&Event::Start);
        case
    }

    pub(crate) fn new() -> Self {
        Self::with(terms(1, 1))
    }

    fn on(&mut self, event: &Event<Input>) {
        let moved = plan(&RecoverySaga::new(), &self.progress, event, self.now);
        (self.progress, self.asked, self.changed) = (moved.progress, moved.commands, moved.changed);
    }

    pub(crate) fn take(&mut self, input: Input) -> &mut Self {
        self.on(&Event::Input(input));
        self
    }

    pub(crate) fn wait(&mut self, by: TimeDelta) -> &mut Self {
        self.now += by;
        self.on(&Event::Tick);
        self
    }

    pub(crate) fn step(&self) -> &str {
        self.progress.step.as_deref().unwrap_or("closed")
    }

    pub(crate) fn data(&self) -> &Data {
        &self.progress.data
    }

    /// A case that has come as far as `step` on the straight way; `closed` is a step too.
    pub(crate) fn at(step: &str) -> Self {
        let mut case = Self::new();
        let way = [
            proof(ProofKind::CallBack),
            vote("anna", true),
            Input::SlotTaken,
            lease(2, LeaseState::Active),
            absent(),
            noticed(Notice::Invitation, Recipient::Owner),
            enrolled(),
            lease(5, LeaseState::Closed(LeaseEnd::Home)),
            cleaned(),
            noticed(Notice::Closed, Recipient::Owner),
            noticed(Notice::Closed, Recipient::Person("rita".parse().unwrap())),
            noticed(Notice::Closed, Recipient::Person("anna".parse().unwrap())),
        ];
        for input in way {
            if case.step() == step {
                return case;
            }
            case.now += TimeDelta::seconds(1);
            case.take(input);
        }
        assert_eq!(case.step(), step, "the straight way leads past every step");
        case
    }
}

pub(crate) fn proof(kind: ProofKind) -> Input {
    Input::ProofAttached { by: person("rita"), kind, evidence: String::new() }
}

pub(crate) fn vote(name: &str, approve: bool) -> Input {
    Input::Voted { by: person(name), approve, reason: String::new() }
}

pub(crate) fn cancel() -> Input {
    Input::Cancelled { by: "rita".parse().unwrap(), reason: String::new() }
}

pub(crate) fn return_now() -> Input {
    Input::ReturnNow { by: "otto".parse().unwrap(), reason: String::new() }
}

pub(crate) fn confirmed() -> Input {
    Input::ResetConfirmed { by: "rita".parse().unwrap() }
}

pub(crate) fn lease(version: i64, state: LeaseState) -> Input {
    lease_with(version, state, Factor::Enrolled)
}

pub(crate) fn lease_with(version: i64, state: LeaseState, factor: Factor) -> Input {
    let out = !matches!(state, LeaseState::Opening | LeaseState::Closed(LeaseEnd::NeverLent));
    let fact = LeaseFact {
        version,
        refusal: None,
        factor: Some(factor),
        out_at: out.then(start_of_time),
        out_version: None,
        due_at: Some(start_of_time() + TimeDelta::hours(4)),
        back_at: None,
        evidence: String::new(),
        state,
    };
    Input::Lease(fact)
}

pub(crate) fn refused(version: i64, refusal: Refusal) -> Input {
    let fact = LeaseFact {
        version,
        state: LeaseState::Closed(LeaseEnd::NeverLent),
        refusal: Some(refusal),
        factor: None,
        out_at: None,
        out_version: None,
        due_at: None,
        back_at: None,
        evidence: String::new(),
    };
    Input::Lease(fact)
}

pub(crate) fn absent() -> Input {
    Input::FactorAbsent { begun_at: start_of_time() }
}

pub(crate) fn enrolled() -> Input {
    Input::Enrolled { seen_at: start_of_time(), evidence: String::new() }
}

pub(crate) fn cleaned() -> Input {
    Input::WindowCleaned { revoked: vec![], cannot: vec![] }
}

pub(crate) fn noticed(notice: Notice, to: Recipient) -> Input {
    Input::Noticed { notice, to, delivery: Delivery::Accepted }
}

pub(crate) fn person_needed() -> Input {
    Input::FactorReset(ResetAnswer::PersonNeeded { page: "https://admin.example/mia".into(), how: String::new() })
}

pub(crate) const fn hours(n: u64) -> Millis {
    Millis(Duration::from_hours(n).as_secs() * 1000)
}
