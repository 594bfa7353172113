//! The rows of recovery's table of sagas, by number. As [`lease_book`](super::lease_book): each distinct decision is asked
//! of production once.
//!
//! A case begins where the lend is asked for. What happens before is not about leases, and what others would answer
//! meanwhile (factor, invitation, clean-up, letters) is known from the beginning: facts count whenever they come.

use std::sync::RwLock;

use ahash::HashMap;
use homeward_recovery::saga::RecoverySaga;
use homeward_recovery::saga::command::{Command, Notice};
use homeward_recovery::saga::data::{Data, Delivery, LeaseFact, LeaseState, Recipient};
use homeward_recovery::saga::input::Input;
use homeward_saga::{Event, Progress, due_at, plan};
use homeward_types::{LeaseEnd, PersonId, ProofKind, Timestamp};

use super::lease_book::{End, Stage};
use super::mutation::Mutation;
use super::place::{FACTOR, Place, account_id, organisation_id};
use super::scale::{Scale, Ticks, at, length, now, ticks};
use super::shelf::Shelf;

/// The number of a case's row.
pub type CaseRow = u32;

/// How the version of news compares with the one that the case knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// Lower.
    Older,
    /// The same.
    Same,
    /// Higher, or the first.
    Newer,
}

impl Age {
    /// How `version` compares with the one that is known.
    pub fn of(version: u8, known: u8) -> Self {
        match version.cmp(&known) {
            std::cmp::Ordering::Less => Self::Older,
            std::cmp::Ordering::Equal => Self::Same,
            std::cmp::Ordering::Greater => Self::Newer,
        }
    }
}

/// What comes to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrives {
    /// Policy's news of the lease, and when the lease is due.
    News(Age, Stage, Ticks),
    /// A person cancels.
    Cancelled,
    /// The user set up a new factor.
    Enrolled,
    /// Whatever is due by now.
    Tick,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Planned {
    /// The row as it now stands.
    pub row: CaseRow,
    /// Whether anything changed.
    pub changed: bool,
    /// A lend is asked for.
    pub lend: bool,
    /// A return is asked for.
    pub bring_home: bool,
}

/// What the actors need to know of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseFacts {
    /// Where it is.
    pub step: CaseStep,
    /// All that is left is to bring the account home.
    pub is_leaving: bool,
    /// It knows that the lease is over.
    pub knows_end: bool,
    /// When it wants to be woken.
    pub due: Option<Ticks>,
}

/// Where a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaseStep {
    /// Asks for the lend.
    Lend,
    /// Helps the user in.
    Help,
    /// Asks for the return.
    Return,
    /// Past the return, or closed.
    Past,
}

#[derive(Default)]
struct Rows {
    numbers: HashMap<Progress<Data>, CaseRow>,
    kept: Vec<Progress<Data>>,
    older: Vec<Option<CaseRow>>,
    plans: HashMap<(CaseRow, Arrives), Planned>,
}

/// All rows that were ever reached.
pub struct CaseBook {
    scale: Scale,
    mutation: Option<Mutation>,
    saga: RecoverySaga,
    rows: RwLock<Rows>,
    facts: Shelf<CaseFacts>,
}

/// The version that a case is taken to know; only what is higher or lower matters.
const KNOWN: i64 = 10;

impl CaseBook {
    /// An empty book.
    pub fn new(scale: Scale, mutation: Option<Mutation>) -> Self {
        Self { scale, mutation, saga: RecoverySaga::new(), rows: RwLock::default(), facts: Shelf::default() }
    }

    /// How many rows, and how many distinct decisions.
    pub fn size(&self) -> (usize, usize) {
        let rows = self.read();
        (rows.kept.len(), rows.plans.len())
    }

    /// A case that asks for the lend just now.
    ///
    /// # Panics
    /// If production's saga does not get there.
    pub fn granted(&self) -> CaseRow {
        let data = Data::new(organisation_id(), account_id(), person("rita"), self.scale.case_terms());
        let mut progress = Progress::fresh(data, now());
        let answered = |notice, to| Input::Noticed { notice, to, delivery: Delivery::Accepted };
        let way = [
            Event::Start,
            Event::Input(Input::ProofAttached { by: person("rita"), kind: ProofKind::CallBack, evidence: String::new() }),
            Event::Input(Input::Voted { by: person("anna"), approve: true, reason: String::new() }),
            Event::Input(Input::FactorAbsent { begun_at: now() }),
            Event::Input(answered(Notice::Invitation, Recipient::Owner)),
            Event::Input(Input::WindowCleaned { revoked: Vec::new(), cannot: Vec::new() }),
            Event::Input(answered(Notice::Closed, Recipient::Owner)),
            Event::Input(answered(Notice::Closed, Recipient::Person(person("rita")))),
            Event::Input(answered(Notice::Closed, Recipient::Person(person("anna")))),
            Event::Input(Input::SlotTaken),
        ];
        for event in way {
            progress = plan(&self.saga, &progress, &event, now()).progress;
        }
        assert_eq!(progress.step.as_deref(), Some("lend"), "the straight way leads to the lend");
        self.number(progress)
    }

    /// What the actors need to know of a case.
    pub fn facts(&self, row: CaseRow) -> CaseFacts {
        self.facts.get(index(row))
    }

    /// The row itself, for people.
    pub fn kept(&self, row: CaseRow) -> Progress<Data> {
        self.read().kept[index(row)].clone()
    }

    /// What a case does about it.
    pub fn plan(&self, row: CaseRow, arrives: Arrives) -> Planned {
        if let Some(planned) = self.read().plans.get(&(row, arrives)) {
            return *planned;
        }
        let planned = self.ask(row, arrives);
        self.write().plans.insert((row, arrives), planned);
        planned
    }

    /// The row a tick later.
    pub fn older(&self, row: CaseRow) -> CaseRow {
        if let Some(older) = self.read().older[index(row)] {
            return older;
        }
        let mut progress = self.kept(row);
        each_moment(&mut progress, |moment| *moment -= length(1));
        let older = self.number(progress);
        self.write().older[index(row)] = Some(older);
        older
    }

    fn ask(&self, row: CaseRow, arrives: Arrives) -> Planned {
        let before = self.kept(row);
        let is_leaving = before.data.is_leaving();
        let event = match arrives {
            Arrives::News(_, Stage::Active, _) if is_leaving && self.mutation == Some(Mutation::IgnoreLateLentNews) => {
                return Planned { row, changed: false, lend: false, bring_home: false };
            }
            Arrives::News(age, stage, due) => Event::Input(Input::Lease(self.fact(age, stage, due))),
            Arrives::Cancelled => Event::Input(Input::Cancelled { by: person("rita"), reason: String::new() }),
            Arrives::Enrolled => Event::Input(Input::Enrolled { seen_at: now(), evidence: String::new() }),
            Arrives::Tick => Event::Tick,
        };
        let moved = plan(&self.saga, &before, &event, now());
        let asks = |wanted: fn(&Command) -> bool| moved.commands.iter().any(wanted);
        let mut planned = Planned {
            row: 0,
            changed: moved.changed,
            lend: asks(|command| *command == Command::Lend),
            bring_home: asks(|command| matches!(command, Command::Return(_))),
        };
        let mut progress = moved.progress;
        if arrives == Arrives::Cancelled && self.mutation == Some(Mutation::CancelThroughLend) {
            progress.step = None;
            planned.bring_home = false;
        }
        planned.row = self.number(progress);
        planned
    }

    fn fact(&self, age: Age, stage: Stage, due: Ticks) -> LeaseFact {
        let version = match age {
            Age::Older if self.mutation == Some(Mutation::LowerVersionAccepted) => KNOWN + 1,
            Age::Older => KNOWN - 1,
            Age::Same => KNOWN,
            Age::Newer => KNOWN + 1,
        };
        let (state, refusal) = match stage {
            Stage::Opening => (LeaseState::Opening, None),
            Stage::Active => (LeaseState::Active, None),
            Stage::Closing => (LeaseState::Closing, None),
            Stage::Settling => (LeaseState::Settling, None),
            Stage::Closed(end) => (LeaseState::Closed(lease_end(end)), None),
            Stage::Refused(refusal) => (LeaseState::Closed(LeaseEnd::NeverLent), Some(refusal)),
        };
        LeaseFact {
            version,
            state,
            refusal,
            factor: Some(FACTOR),
            out_at: None,
            out_version: None,
            due_at: Some(at(due)),
            back_at: None,
            evidence: String::new(),
        }
    }

    fn number(&self, progress: Progress<Data>) -> CaseRow {
        let progress = in_its_form(progress, &self.scale);
        let known = self.read().numbers.get(&progress).copied();
        known.unwrap_or_else(|| {
            let facts = self.look_at(&progress);
            self.write().number(progress, facts, &self.facts)
        })
    }

    fn look_at(&self, progress: &Progress<Data>) -> CaseFacts {
        let step = match progress.step.as_deref() {
            Some("lend") => CaseStep::Lend,
            Some("reset-factor" | "invite" | "await-enrolment") => CaseStep::Help,
            Some("return") => CaseStep::Return,
            None | Some(_) => CaseStep::Past,
        };
        CaseFacts {
            step,
            is_leaving: progress.data.is_leaving(),
            knows_end: progress.data.lease_end().is_some(),
            due: due_at(&self.saga, progress).map(ticks),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Rows {
    fn number(&mut self, progress: Progress<Data>, facts: CaseFacts, shelf: &Shelf<CaseFacts>) -> CaseRow {
        if let Some(row) = self.numbers.get(&progress) {
            return *row;
        }
        shelf.put(self.kept.len(), facts);
        self.kept.push(progress.clone());
        self.older.push(None);
        let row = CaseRow::try_from(self.kept.len()).unwrap_or(CaseRow::MAX);
        self.numbers.insert(progress, row);
        row
    }
}

fn index(row: CaseRow) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX) - 1
}

fn person(name: &str) -> PersonId {
    name.parse().expect("well formed")
}

fn lease_end(end: End) -> LeaseEnd {
    match end {
        End::Home => LeaseEnd::Home,
        End::Elsewhere => LeaseEnd::ProtectedElsewhere(Place::Elsewhere.policy()),
        End::Gone => LeaseEnd::Gone,
        End::Released => LeaseEnd::Released,
        End::NeverLent => LeaseEnd::NeverLent,
    }
}

fn each_moment(progress: &mut Progress<Data>, mut change: impl FnMut(&mut Timestamp)) {
    change(&mut progress.asked_at);
    if let Some(granted_at) = &mut progress.data.granted_at {
        change(granted_at);
    }
    if let Some(due_at) = progress.data.lease.as_mut().and_then(|lease| lease.due_at.as_mut()) {
        change(due_at);
    }
}

/// Leaves out what cannot matter to any later decision.
fn in_its_form(mut progress: Progress<Data>, scale: &Scale) -> Progress<Data> {
    // Every further wait is as long as the first; no step from the lend on looks at when it was entered.
    progress.asked_again = 0;
    progress.entered_at = now();
    progress.reminded = 0;
    progress.asked_at = progress.asked_at.max(at(-scale.re_ask));
    let data = &mut progress.data;
    let closed = progress.step.is_none();
    data.proofs.values_mut().for_each(|at| *at = now());
    data.enrolled_at = data.enrolled_at.map(|_| now());
    data.granted_at = data.granted_at.map(|granted| granted.max(at(-scale.grant - scale.re_ask)));
    if let Some(lease) = &mut data.lease {
        lease.version = KNOWN;
        lease.due_at = lease.due_at.map(|due| due.max(now()));
    }
    if closed {
        progress.asked_at = now();
        (data.enrolled_at, data.leave, data.failure, data.granted_at) = (None, None, None, Some(now()));
        if let Some(lease) = &mut data.lease {
            lease.due_at = None;
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use homeward_saga::Saga;

    use super::*;

    #[test]
    fn no_step_from_the_lend_on_looks_at_when_it_was_entered() {
        let book = CaseBook::new(Scale::SMALL, None);
        let data = book.kept(book.granted()).data;
        let definition = book.saga.definition();
        for step in &definition.steps()[definition.guard()..] {
            assert_eq!(step.schedule(&data, at(0)), step.schedule(&data, at(-50)), "{}", step.name());
        }
    }
}
