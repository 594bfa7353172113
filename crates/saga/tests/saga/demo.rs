//! A small saga to prove the engine with: a reader asks for a book, it is kept, handed out (from here on only bringing it
//! back ends anything), read, brought back, and the reader is told.

use std::time::Duration;

use chrono::TimeDelta;
use homeward_saga::{Compensation, Definition, Noted, ReAsk, Saga, Schedule, Step, Verdict};
use homeward_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How long each step before the guard waits.
pub const PATIENCE: TimeDelta = TimeDelta::seconds(100);
/// First wait before asking again.
pub const RE_ASK: Duration = Duration::from_secs(10);
/// Longest wait before asking again.
pub const RE_ASK_MAX: Duration = Duration::from_secs(40);

/// All that a loan knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Loan {
    pub agreed: Option<bool>,
    pub kept: Option<bool>,
    pub book: Book,
    pub read: bool,
    pub told: bool,
    pub cancelled: bool,
    pub failure: Option<Why>,
}

/// Where the book is, as the shelf last said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Book {
    pub version: u32,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    #[default]
    Unheard,
    Out,
    Home,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    Agreed(bool),
    Kept(bool),
    Book(Book),
    Read,
    Cancelled,
    Told,
    /// Deciding about it panics.
    Cursed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Command {
    Ask,
    Forget,
    Keep,
    Release,
    HandOut,
    Remind,
    BringBack,
    Thank,
    Tell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    Late,
    Cancelled,
    Refused,
    NoneLeft,
    TakenHome,
}

pub struct Lending(Definition<Lending>, Fault);

/// A fault that the proofs must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Bringing back is asked once only.
    AsksOnce,
    /// A copy that is kept is not released when the loan fails.
    UndoesNothing,
    /// News are believed however old they are.
    TakesOldNews,
    /// The first step is asked again without a pause.
    NeverRests,
}

impl Lending {
    pub fn new() -> Self {
        Self::with(Fault::None)
    }

    pub fn with(fault: Fault) -> Self {
        let definition = Definition::new()
            .step(Agree(fault))
            .step(KeepCopy(fault))
            .guarded_by("bring-back")
            .step(HandOut)
            .step(ReadIt)
            .step(BringBack(fault))
            .step(TellReader);
        Self(definition, fault)
    }
}

impl Saga for Lending {
    const NAME: &'static str = "lending";
    const VERSION: u32 = 2;

    type Data = Loan;
    type Input = Input;
    type Command = Command;
    type Reason = Why;

    fn definition(&self) -> &Definition<Self> {
        &self.0
    }

    fn note(&self, loan: &mut Loan, input: &Input, _now: Timestamp) -> Noted {
        let new = |changed: bool| if changed { Noted::New } else { Noted::Old };
        match input {
            Input::Agreed(yes) => new(loan.agreed.is_none() && loan.agreed.replace(*yes).is_none()),
            Input::Kept(yes) => new(loan.kept.is_none() && loan.kept.replace(*yes).is_none()),
            Input::Book(book) if book.version <= loan.book.version && self.1 != Fault::TakesOldNews => Noted::Old,
            Input::Book(book) => {
                let leaving = loan.failure.is_some() || loan.read;
                loan.book = *book;
                if leaving && book.place == Place::Out { Noted::AskAgain } else { Noted::New }
            }
            Input::Read => new(!std::mem::replace(&mut loan.read, true)),
            Input::Cancelled => new(!std::mem::replace(&mut loan.cancelled, true)),
            Input::Told => new(!std::mem::replace(&mut loan.told, true)),
            Input::Cursed => panic!("the book is cursed"),
        }
    }

    fn way_out(&self, loan: &Loan) -> Option<Why> {
        loan.cancelled.then_some(Why::Cancelled)
    }

    fn needs_guard(&self, loan: &Loan) -> bool {
        loan.book.place == Place::Out
    }

    fn failed(&self, loan: &mut Loan, _step: &'static str, why: Why) {
        loan.failure.get_or_insert(why);
    }

    fn too_late(&self, _step: &'static str) -> Why {
        Why::Late
    }
}

const ASKING: ReAsk = ReAsk { first: RE_ASK, longest: RE_ASK_MAX };

fn until_answered() -> Schedule {
    Schedule { re_ask: Some(ASKING), ..Schedule::default() }
}

fn in_time(entered_at: Timestamp) -> Schedule {
    Schedule { deadline: Some(entered_at + PATIENCE), ..until_answered() }
}

fn done_if(over: bool) -> Verdict<Why> {
    if over { Verdict::Done } else { Verdict::Stay }
}

fn yes_or(answer: Option<bool>, why: Why) -> Verdict<Why> {
    match answer {
        None => Verdict::Stay,
        Some(true) => Verdict::Done,
        Some(false) => Verdict::Fail(why),
    }
}

struct Agree(Fault);
impl Step<Lending> for Agree {
    fn name(&self) -> &'static str {
        "agree"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        vec![Command::Ask]
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        yes_or(loan.agreed, Why::Refused)
    }
    fn schedule(&self, _: &Loan, entered_at: Timestamp) -> Schedule {
        Schedule {
            deadline: Some(entered_at + PATIENCE),
            reminders: vec![entered_at + PATIENCE / 2, entered_at + PATIENCE * 3 / 4],
            re_ask: (self.0 == Fault::NeverRests).then_some(ReAsk { first: Duration::ZERO, longest: Duration::ZERO }),
        }
    }
    fn reminder(&self, _: &Loan, _n: usize) -> Vec<Command> {
        vec![Command::Remind]
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Command(Command::Forget)
    }
}

struct KeepCopy(Fault);
impl Step<Lending> for KeepCopy {
    fn name(&self) -> &'static str {
        "keep-copy"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        vec![Command::Keep]
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        yes_or(loan.kept, Why::NoneLeft)
    }
    fn schedule(&self, _: &Loan, entered_at: Timestamp) -> Schedule {
        in_time(entered_at)
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        if self.0 == Fault::UndoesNothing {
            return Compensation::Nothing("forgotten");
        }
        Compensation::Command(Command::Release)
    }
}

struct HandOut;
impl Step<Lending> for HandOut {
    fn name(&self) -> &'static str {
        "hand-out"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        vec![Command::HandOut]
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        match loan.book.place {
            Place::Unheard => Verdict::Stay,
            Place::Out => Verdict::Done,
            Place::Home => Verdict::Fail(Why::Refused),
        }
    }
    fn schedule(&self, _: &Loan, entered_at: Timestamp) -> Schedule {
        in_time(entered_at)
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Nothing("what is out is brought back by the guarding step")
    }
}

struct ReadIt;
impl Step<Lending> for ReadIt {
    fn name(&self) -> &'static str {
        "read"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        Vec::new()
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        if loan.book.place == Place::Home { Verdict::Fail(Why::TakenHome) } else { done_if(loan.read) }
    }
    fn schedule(&self, _: &Loan, entered_at: Timestamp) -> Schedule {
        Schedule { deadline: Some(entered_at + PATIENCE), ..Schedule::default() }
    }
    fn done(&self, _: &Loan) -> Vec<Command> {
        vec![Command::Thank]
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Nothing("it only waits")
    }
}

struct BringBack(Fault);
impl Step<Lending> for BringBack {
    fn name(&self) -> &'static str {
        "bring-back"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        vec![Command::BringBack]
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        match loan.book.place {
            Place::Home => Verdict::Done,
            Place::Out => Verdict::Stay,
            // Means to stay, here: never given up.
            Place::Unheard => Verdict::Fail(Why::Refused),
        }
    }
    fn schedule(&self, _: &Loan, entered_at: Timestamp) -> Schedule {
        // The deadline means nothing here.
        let deadline = Some(entered_at + PATIENCE);
        Schedule { deadline, re_ask: (self.0 != Fault::AsksOnce).then_some(ASKING), reminders: Vec::new() }
    }
    fn done(&self, _: &Loan) -> Vec<Command> {
        vec![Command::Release]
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Nothing("forward-only")
    }
}

struct TellReader;
impl Step<Lending> for TellReader {
    fn name(&self) -> &'static str {
        "tell"
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        vec![Command::Tell]
    }
    fn verdict(&self, loan: &Loan) -> Verdict<Why> {
        done_if(loan.told)
    }
    fn schedule(&self, _: &Loan, _: Timestamp) -> Schedule {
        until_answered()
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Nothing("what was told cannot be untold")
    }
}

/// A step with any name, which does nothing.
struct Named(&'static str);
impl Step<Lending> for Named {
    fn name(&self) -> &'static str {
        self.0
    }
    fn commands(&self, _: &Loan) -> Vec<Command> {
        Vec::new()
    }
    fn verdict(&self, _: &Loan) -> Verdict<Why> {
        Verdict::Done
    }
    fn schedule(&self, _: &Loan, _: Timestamp) -> Schedule {
        Schedule::default()
    }
    fn compensation(&self, _: &Loan) -> Compensation<Command> {
        Compensation::Nothing("it does nothing")
    }
}

/// A definition of steps with these names; the guard stands before the step at a position and names a step.
pub fn steps(names: &[&'static str], guard: Option<(usize, &'static str)>) -> Definition<Lending> {
    let mut definition = Definition::new();
    for (at, name) in names.iter().enumerate() {
        if let Some((_, guarding)) = guard.filter(|(position, _)| *position == at) {
            definition = definition.guarded_by(guarding);
        }
        definition = definition.step(Named(name));
    }
    definition
}
