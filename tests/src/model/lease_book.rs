//! The rows of policy's database, by number. Each distinct decision is asked of production once, and remembered.
//!
//! A row is kept in a form in which what cannot matter is left out: the reason in words, the length of a wait that is
//! always the same, the age of what is too old to be compared with anything. Two rows of one form decide alike.

use std::fmt;
use std::sync::RwLock;

use ahash::HashMap;
use homeward_policy::lease::{
    Alarm, Answer, Asked, Attempt, AttemptState, Decision, Event, Found, Kind, Lease, Opened, Origin, Reading, Refused, Sending,
    State, Subject, VersionShown, decide,
};
use homeward_types::{LeaseEnd, LeaseId, Organisation, Refusal, Timestamp, VersionTrust};
use uuid::Uuid;

use super::mutation::Mutation;
use super::place::{FACTOR, Place, Shown, Versions, account_id, organisation, organisation_id};
use super::scale::{Scale, Ticks, at, length, now, ticks};

/// The number of a row; 0 stands for none.
pub type Row = u32;

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Seen home.
    Home,
    /// Seen in another protecting policy.
    Elsewhere,
    /// Gone.
    Gone,
    /// Released by two persons.
    Released,
    /// Never opened.
    NeverLent,
}

/// Where a lease stands, as policy tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Committed.
    Opening,
    /// Seen out.
    Active,
    /// Being returned.
    Closing,
    /// A late effect is waited out.
    Settling,
    /// Over.
    Closed(End),
    /// Refused, and never opened.
    Refused(Refusal),
}

impl Stage {
    /// Grows along the way; closing and settling may alternate.
    pub fn rank(self) -> u8 {
        match self {
            Self::Opening => 0,
            Self::Active => 1,
            Self::Closing | Self::Settling => 2,
            Self::Closed(_) | Self::Refused(_) => 3,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Settling => "settling",
            Self::Closed(_) => "closed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether it has not ended.
    pub fn is_open(self) -> bool {
        self.rank() < 3
    }
}

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A lend is accepted; the home is where the account was seen.
    LendAccepted {
        /// What was seen.
        seen: Shown,
        /// The newest version that the account's earlier leases know.
        seen_before: i8,
        /// The last moment to send it.
        not_after: Ticks,
    },
    /// A lend is refused.
    LendRefused(Refusal),
    /// An attempt is marked `sent`.
    Sent(Kind),
    /// The provider answered.
    Answered(Kind, Reply),
    /// The account was read.
    Read {
        /// What was seen.
        seen: Shown,
        /// When the read began.
        begun: Ticks,
        /// Whether versions are trusted: lend, return.
        trust: (bool, bool),
    },
    /// A return is asked for.
    ReturnAsked,
    /// Two persons release the account.
    Released,
    /// The census found it out without an open lease.
    FoundOut {
        /// What was seen.
        seen: Shown,
        /// When the read began.
        begun: Ticks,
        /// Where it goes.
        home: Place,
    },
    /// Whatever is due by now.
    Tick,
}

/// What the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// Accepted, which proves nothing.
    Accepted,
    /// Not taken; another try may help.
    Refused,
    /// Not taken, and no other try helps.
    Impossible,
    /// Nothing that proves anything.
    Unknown,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Refused => "not taken, try again",
            Self::Impossible => "not taken, and no other try helps",
            Self::Unknown => "nothing that proves anything",
        })
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent things that a step can lead to")]
pub struct Outcome {
    /// The row as it now stands.
    pub row: Row,
    /// Whether its version grew.
    pub changed: bool,
    /// What is told.
    pub told: Option<Stage>,
    /// The lend that could decide something does not any more: its worker's answer means nothing.
    pub lend_over: bool,
    /// The same of the return.
    pub return_over: bool,
    /// The newest version that the lease knows.
    pub knows: i8,
    /// What was proved about versions.
    pub shown: Option<VersionShown>,
    /// The account must be leased again.
    pub out_again: bool,
}

/// What the actors need to know of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Where the lease stands; `None` if there is no row.
    pub stage: Option<Stage>,
    /// Where it returns to.
    pub home: Place,
    /// Until when a worker that marks the lend now may send it; `None` if it may not be marked.
    pub may_lend: Option<Ticks>,
    /// The same of the return.
    pub may_return: Option<Ticks>,
    /// A lend is ready, whether it may be sent or not.
    pub lend_ready: bool,
    /// When it is due.
    pub due: Ticks,
    /// When the account is to be read.
    pub read_at: Option<Ticks>,
    /// When time itself changes something.
    pub tick_at: Option<Ticks>,
}

impl Facts {
    /// Whether there is an open lease.
    pub fn is_open(&self) -> bool {
        self.stage.is_some_and(Stage::is_open)
    }
}

/// A row in its kept form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The lease.
    pub lease: Lease,
    /// The attempts that can still decide something: at most one lend, number 1, and one return, number 2.
    pub attempts: Vec<Attempt>,
}

#[derive(Default)]
struct Rows {
    numbers: HashMap<Kept, Row>,
    kept: Vec<Kept>,
    facts: Vec<Facts>,
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
}

const LEND: u32 = 1;
const RETURN: u32 = 2;

impl LeaseBook {
    /// An empty book.
    pub fn new(scale: Scale, versions: Versions, mutation: Option<Mutation>) -> Self {
        Self { scale, versions, mutation, organisation: organisation(), rows: RwLock::new(Rows::default()) }
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
                due: 0,
                read_at: None,
                tick_at: None,
            },
            row => self.read().facts[index(row)],
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
        known.unwrap_or_else(|| self.write().number(kept, &self.scale))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Rows {
    fn number(&mut self, kept: Kept, scale: &Scale) -> Row {
        if let Some(row) = self.numbers.get(&kept) {
            return *row;
        }
        self.kept.push(kept.clone());
        self.facts.push(facts(&kept, scale));
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

/// Where a lease stands, as it is told.
pub fn stage(lease: &Lease) -> Stage {
    match &lease.state {
        State::Opening => Stage::Opening,
        State::Active => Stage::Active,
        State::Closing => Stage::Closing,
        State::Settling => Stage::Settling,
        State::Closed(ending) => match (&ending.end, ending.refusal) {
            (LeaseEnd::NeverLent, Some(refusal)) => Stage::Refused(refusal),
            (LeaseEnd::NeverLent, None) => Stage::Closed(End::NeverLent),
            (LeaseEnd::Home, _) => Stage::Closed(End::Home),
            (LeaseEnd::ProtectedElsewhere(_), _) => Stage::Closed(End::Elsewhere),
            (LeaseEnd::Gone, _) => Stage::Closed(End::Gone),
            (LeaseEnd::Released, _) => Stage::Closed(End::Released),
        },
    }
}

fn facts(kept: &Kept, scale: &Scale) -> Facts {
    let ready = |kind| kept.attempts.iter().find(|attempt| attempt.kind == kind && attempt.state == AttemptState::Ready);
    let may = |kind| {
        let attempt = ready(kind).filter(|attempt| attempt.not_before <= now())?;
        let until = attempt.not_after.map_or(at(scale.claim), |last| last.min(at(scale.claim)));
        attempt.may_be_sent(&kept.lease, until, now()).then(|| ticks(until))
    };
    Facts {
        stage: Some(stage(&kept.lease)),
        home: Place::of(&kept.lease.home),
        may_lend: may(Kind::Lend),
        may_return: may(Kind::Return),
        lend_ready: ready(Kind::Lend).is_some(),
        due: ticks(kept.lease.due_at),
        read_at: kept.lease.next_read_at.map(ticks),
        tick_at: kept.lease.tick_at.map(ticks),
    }
}

impl Kept {
    fn each_moment(&mut self, mut change: impl FnMut(&mut Timestamp)) {
        let lease = &mut self.lease;
        change(&mut lease.opened_at);
        change(&mut lease.due_at);
        if let State::Closed(ending) = &mut lease.state {
            change(&mut ending.at);
        }
        let sight = &mut lease.sight;
        let optional = [
            &mut lease.returning_at,
            &mut lease.return_at,
            &mut lease.next_read_at,
            &mut lease.tick_at,
            &mut sight.newest_begun_at,
            &mut sight.back_at,
            &mut sight.missed.search_at,
            &mut sight.missed.itself_at,
        ];
        optional.into_iter().flatten().for_each(&mut change);
        if let Some(out) = &mut sight.out {
            change(&mut out.first_at);
            change(&mut out.last_at);
        }
        if let Some(run) = &mut sight.run {
            change(&mut run.first_begun_at);
        }
        for attempt in &mut self.attempts {
            change(&mut attempt.not_before);
            if let Some(last) = &mut attempt.not_after {
                change(last);
            }
            if let AttemptState::Sent { claimed_until, .. } | AttemptState::Unknown { claimed_until } = &mut attempt.state {
                change(claimed_until);
            }
        }
    }

    /// Leaves out what cannot matter to any later decision.
    fn in_its_form(mut self, scale: &Scale) -> Self {
        let lease = &mut self.lease;
        lease.version = 1;
        lease.attempts = RETURN;
        lease.reads = 0;
        // Every further failure waits as long as the first.
        lease.failed_returns = lease.failed_returns.min(1);
        lease.return_reason = lease.return_reason.take().map(|_| String::new());
        lease.returning_at = lease.returning_at.map(|_| now());
        lease.sight.back_at = None;
        if let Some(out) = &mut lease.sight.out {
            out.first_at = now();
        }
        if !lease.is_open() {
            self.close();
            return self;
        }
        // Nothing that is read now began earlier than this.
        let oldest = at(-scale.look);
        let no_older = |moment: &mut Timestamp, than: Timestamp| *moment = (*moment).max(than);
        no_older(&mut lease.opened_at, oldest - length(scale.read_lag));
        no_older(&mut lease.due_at, now());
        let due = [&mut lease.return_at, &mut lease.next_read_at, &mut lease.tick_at];
        for moment in due.into_iter().flatten() {
            *moment = at(ticks(*moment).max(0));
        }
        let sight = &mut lease.sight;
        sight.newest_begun_at = sight.newest_begun_at.filter(|newest| *newest >= oldest);
        if let Some(out) = &mut sight.out {
            no_older(&mut out.last_at, oldest - length(1));
        }
        if let Some(run) = &mut sight.run {
            no_older(&mut run.first_begun_at, oldest - length(scale.read_lag));
        }
        for missed in [&mut sight.missed.search_at, &mut sight.missed.itself_at].into_iter().flatten() {
            no_older(missed, oldest - length(scale.gone_apart));
        }
        let settled = oldest - length(scale.late_limit) - length(scale.read_lag);
        for attempt in &mut self.attempts {
            no_older(&mut attempt.not_before, now());
            attempt.not_before = at(ticks(attempt.not_before));
            if let Some(last) = &mut attempt.not_after {
                no_older(last, now());
            }
            match &mut attempt.state {
                // When it could last be sent does not matter to an accepted return.
                AttemptState::Sent { claimed_until, accepted: true } if attempt.kind == Kind::Return => *claimed_until = now(),
                AttemptState::Sent { claimed_until, .. } | AttemptState::Unknown { claimed_until } => {
                    no_older(claimed_until, settled);
                }
                AttemptState::Ready | AttemptState::Taken | AttemptState::NotTaken | AttemptState::Void => {}
            }
            attempt.number = match attempt.kind {
                Kind::Lend => LEND,
                Kind::Return => RETURN,
            };
        }
        self.attempts.sort_by_key(|attempt| attempt.number);
        self
    }

    /// Of a lease that is over only its end is kept. That it may be seen out again is the census's business here.
    fn close(&mut self) {
        let lease = &mut self.lease;
        if let State::Closed(ending) = &mut lease.state {
            ending.at = now();
        }
        (lease.opened_at, lease.due_at) = (now(), now());
        (lease.home_version, lease.return_reason, lease.returning_at) = (None, None, None);
        (lease.return_at, lease.next_read_at, lease.tick_at) = (None, None, None);
        (lease.was_unknown, lease.overdue, lease.overdue_told, lease.released) = (false, false, false, false);
        (lease.failed_returns, lease.origin) = (0, Origin::Lend);
        lease.sight = homeward_policy::lease::Sight::default();
        self.attempts.clear();
    }
}
