//! The rows of policy's database, by number. Each distinct decision is asked of production once, and remembered.

use std::sync::RwLock;

use ahash::HashMap;
use homeward_policy::lease::{
    Alarm, Answer, Asked, Attempt, Decision, Event, Found, Kind, Lease, Opened, Origin, Reading, Refused, Sending, Subject,
    decide,
};
use homeward_types::{LeaseId, Organisation, VersionTrust};
use uuid::Uuid;

pub use super::lease_row::{Kept, stage};
use super::lease_row::{LEND, RETURN, facts};
pub use super::lease_words::{End, Facts, Happening, Outcome, Reply, Row, Stage};
use super::mutation::Mutation;
use super::place::{FACTOR, Place, Shown, Versions, account_id, organisation, organisation_id};
use super::scale::{Scale, Ticks, at, length, now};
use super::shelf::Shelf;

#[derive(Default)]
struct Rows {
    numbers: HashMap<Kept, Row>,
    kept: Vec<Kept>,
    older: Vec<Option<Row>>,
    outcomes: HashMap<(Row, Happening), Outcome>,
}

/// All rows that were ever reached.
pub struct LeaseBook {
    scale: Scale,
    versions: Versions,
    mutation: Option<Mutation>,
    organisation: Organisation,
    rows: RwLock<Rows>,
    facts: Shelf<Facts>,
}

impl LeaseBook {
    /// An empty book.
    pub fn new(scale: Scale, versions: Versions, mutation: Option<Mutation>) -> Self {
        Self { scale, versions, mutation, organisation: organisation(), rows: RwLock::default(), facts: Shelf::default() }
    }

    /// How many rows, and how many distinct decisions.
    pub fn size(&self) -> (usize, usize) {
        let rows = self.read();
        (rows.kept.len(), rows.outcomes.len())
    }

    /// What the actors need to know of a row.
    pub fn facts(&self, row: Row) -> Facts {
        match row {
            0 => Facts {
                stage: None,
                home: Place::Home,
                may_lend: None,
                may_return: None,
                lend_ready: false,
                lend_may_land: false,
                due: 0,
                read_at: None,
                tick_at: None,
            },
            row => self.facts.get(index(row)),
        }
    }

    /// The row itself, for people.
    pub fn kept(&self, row: Row) -> Option<Kept> {
        (row > 0).then(|| self.read().kept[index(row)].clone())
    }

    /// What happens to a row.
    pub fn happen(&self, row: Row, happening: Happening) -> Outcome {
        if let Some(outcome) = self.read().outcomes.get(&(row, happening)) {
            return *outcome;
        }
        let outcome = self.decide(row, happening);
        self.write().outcomes.insert((row, happening), outcome);
        outcome
    }

    /// The row a tick later.
    pub fn older(&self, row: Row) -> Row {
        if row == 0 {
            return 0;
        }
        if let Some(older) = self.read().older[index(row)] {
            return older;
        }
        let mut kept = self.read().kept[index(row)].clone();
        kept.each_moment(|moment| *moment -= length(1));
        let older = self.number(kept);
        self.write().older[index(row)] = Some(older);
        older
    }

    fn decide(&self, row: Row, happening: Happening) -> Outcome {
        let before = self.kept(row);
        let event = self.event(before.as_ref(), happening);
        let (lease, attempts) = before.as_ref().map_or((None, [].as_slice()), |kept| (Some(&kept.lease), &kept.attempts));
        let event = self.mutation.map_or(event.clone(), |mutation| mutation.event(lease, &event));
        let mut decision = decide(lease, attempts, &event, now());
        if let Some(mutation) = self.mutation {
            mutation.decision(lease, attempts, &event, &mut decision);
        }
        let told = decision.news.and(decision.lease.as_ref()).map(stage);
        let told = told.or_else(|| decision.news.map(|_| Stage::Closed(End::NeverLent)));
        let live = live(attempts, &decision);
        let was = |number| attempts.iter().any(|attempt| attempt.number == number);
        let over = |number| was(number) && !live.iter().any(|attempt| attempt.number == number);
        Outcome {
            changed: decision.changed,
            told,
            lend_over: over(LEND),
            return_over: over(RETURN),
            knows: newest_version(decision.lease.as_ref()),
            shown: decision.shown,
            out_again: decision.alarms.contains(&Alarm::OutAgain),
            row: decision.lease.map_or(0, |lease| self.number(Kept { lease, attempts: live })),
        }
    }

    fn event(&self, before: Option<&Kept>, happening: Happening) -> Event {
        let number = |kind| match kind {
            Kind::Lend => LEND,
            Kind::Return => RETURN,
        };
        match happening {
            Happening::LendAccepted { seen, seen_before, not_after } => Event::LendAccepted(Opened {
                subject: self.subject(seen.place),
                home_version: seen.told(self.versions),
                seen_before: Shown { version: seen_before, ..seen }.told(self.versions),
                factor: FACTOR,
                lasts: length(self.scale.lease),
                not_after: at(not_after),
            }),
            Happening::LendRefused(refusal) => Event::LendRefused(Refused { subject: self.subject(Place::Home), refusal }),
            Happening::Sent(kind) => {
                let facts = before.map(|kept| facts(kept, &self.scale));
                let until = facts.and_then(|facts| match kind {
                    Kind::Lend => facts.may_lend,
                    Kind::Return => facts.may_return,
                });
                Event::AttemptSent(Sending { number: number(kind), claimed_until: at(until.unwrap_or(0)) })
            }
            Happening::Answered(kind, reply) => Event::AttemptAnswered { number: number(kind), answer: answer(reply) },
            Happening::Read { seen, begun, trust } => Event::Read {
                reading: self.reading(before, seen, begun),
                trust: VersionTrust { lend_seen: trust.0, return_seen: trust.1 },
            },
            Happening::ReturnAsked => Event::ReturnAsked(Asked { subject: self.subject(Place::Home), reason: String::new() }),
            Happening::Released => Event::Released,
            Happening::FoundOut { seen, begun, home } => Event::FoundOut(Found {
                subject: self.subject(home),
                origin: Origin::Reopened,
                policy: seen.place.policy(),
                version: seen.told(self.versions),
                begun_at: at(begun),
                reason: String::new(),
            }),
            Happening::Tick => Event::Tick,
        }
    }

    fn subject(&self, home: Place) -> Subject {
        Subject {
            lease: LeaseId::from_uuid(Uuid::from_u128(7)),
            organisation: organisation_id(),
            account: account_id(),
            home: home.policy(),
            recovery_policy: Place::Recovery.policy(),
            terms: self.scale.lease_terms(),
        }
    }

    fn reading(&self, before: Option<&Kept>, seen: Shown, begun: Ticks) -> Reading {
        let placement = seen.placement(self.versions, at(begun));
        match before {
            Some(kept) => Reading::of(&placement, &self.organisation, &kept.lease),
            // Nobody reads for a lease that is not there; production's function asks for one.
            None => Reading { place: homeward_policy::lease::Place::Nowhere, version: None, begun_at: at(begun) },
        }
    }

    fn number(&self, kept: Kept) -> Row {
        let kept = kept.in_its_form(&self.scale);
        let known = self.read().numbers.get(&kept).copied();
        known.unwrap_or_else(|| self.write().number(kept, &self.scale, &self.facts))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Rows {
    fn number(&mut self, kept: Kept, scale: &Scale, shelf: &Shelf<Facts>) -> Row {
        if let Some(row) = self.numbers.get(&kept) {
            return *row;
        }
        shelf.put(self.kept.len(), facts(&kept, scale));
        self.kept.push(kept.clone());
        self.older.push(None);
        let row = Row::try_from(self.kept.len()).unwrap_or(Row::MAX);
        self.numbers.insert(kept, row);
        row
    }
}

fn newest_version(lease: Option<&Lease>) -> i8 {
    lease.and_then(Lease::newest_version).and_then(|version| i8::try_from(version.0).ok()).unwrap_or(0)
}

fn index(row: Row) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX) - 1
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Reply::Accepted => Answer::Accepted,
        Reply::Refused => Answer::Refused { retry_after: std::time::Duration::ZERO, detail: String::new() },
        Reply::Impossible => Answer::Impossible { detail: String::new() },
        Reply::Unknown => Answer::Unknown { detail: String::new() },
    }
}

/// As the store does: what changed is written, what decides nothing any more is not loaded again.
fn live(before: &[Attempt], decision: &Decision) -> Vec<Attempt> {
    let mut attempts = before.to_vec();
    for changed in &decision.attempts {
        attempts.retain(|attempt| attempt.number != changed.number);
        attempts.push(changed.clone());
    }
    attempts.retain(Attempt::is_live);
    attempts
}
