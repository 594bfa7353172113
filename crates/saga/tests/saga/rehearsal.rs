//! The proofs, played with the demo saga; and broken sagas, which the proofs must find.

use std::collections::BTreeSet;

use homeward_saga::Progress;
use homeward_saga::proofs::{self, Rehearsal};
use homeward_types::Timestamp;

use crate::demo::{Book, Command, Fault, Input, Lending, Loan, Place};

/// The shelf, as far as one loan is concerned.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    book: Book,
    question: Matter,
    copy: Matter,
    told: usize,
}

/// Something that is begun and ended. What ended before it began does not begin any more: the two may come in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Matter {
    #[default]
    Unheard,
    Open,
    Over,
}

impl Matter {
    fn begin(&mut self) -> bool {
        if *self == Self::Unheard {
            *self = Self::Open;
        }
        *self == Self::Open
    }
}

impl Shelf {
    /// Carries out a command, as often as it comes.
    pub fn carry_out(&mut self, command: Command) -> Vec<Input> {
        match command {
            Command::Ask => {
                self.question.begin();
                Vec::new()
            }
            Command::Keep => vec![Input::Kept(self.copy.begin())],
            Command::HandOut => {
                if self.book.place == Place::Unheard {
                    self.book = Book { version: 1, place: Place::Out };
                }
                vec![Input::Book(self.book)]
            }
            Command::BringBack => {
                if self.book.place != Place::Home {
                    // Also if it was never handed out: a late hand-out is refused then.
                    self.book = Book { version: self.book.version + 1, place: Place::Home };
                }
                vec![Input::Book(self.book)]
            }
            Command::Release => {
                self.copy = Matter::Over;
                Vec::new()
            }
            Command::Forget => {
                self.question = Matter::Over;
                Vec::new()
            }
            Command::Tell => {
                self.told += 1;
                vec![Input::Told]
            }
            Command::Remind | Command::Thank => Vec::new(),
        }
    }

    /// What must be true when the loan is closed.
    pub fn check_end(&self, loan: &Loan) -> Result<(), String> {
        if self.book.place == Place::Out {
            return Err("the book is still out".to_owned());
        }
        if self.told == 0 {
            return Err("nobody was told".to_owned());
        }
        if self.copy == Matter::Open {
            return Err("the copy is still kept".to_owned());
        }
        if loan.book.place == Place::Unheard && self.question != Matter::Over {
            return Err("it failed and the question was not withdrawn".to_owned());
        }
        Ok(())
    }
}

struct LendingRehearsal(Lending);

impl Rehearsal for LendingRehearsal {
    type Saga = Lending;
    type World = Shelf;

    fn saga(&self) -> &Lending {
        &self.0
    }

    fn begin(&self) -> (Loan, Shelf) {
        (Loan::default(), Shelf::default())
    }

    fn acts(&self, progress: &Progress<Loan>, _: &mut Shelf) -> Vec<Input> {
        match progress.step.as_deref() {
            Some("agree") => vec![Input::Agreed(true)],
            Some("read") => vec![Input::Read],
            _ => Vec::new(),
        }
    }

    fn carry_out(&self, board: &mut Shelf, command: &Command, _: Timestamp) -> Vec<Input> {
        board.carry_out(*command)
    }

    fn refuse(&self, board: &mut Shelf, command: &Command) -> Vec<Input> {
        match command {
            Command::Keep => vec![Input::Kept(false)],
            Command::HandOut => {
                board.book = Book { version: board.book.version.max(1), place: Place::Home };
                vec![Input::Book(board.book)]
            }
            Command::Ask
            | Command::Forget
            | Command::Release
            | Command::Remind
            | Command::BringBack
            | Command::Thank
            | Command::Tell => Vec::new(),
        }
    }

    fn ways_out(&self) -> Vec<Input> {
        vec![Input::Cancelled]
    }

    fn check_end(&self, progress: &Progress<Loan>, board: &Shelf) -> Result<(), String> {
        board.check_end(&progress.data)
    }
}

#[test]
fn the_demo_saga_stands_every_proof() {
    let lending = LendingRehearsal(Lending::new());
    let reports = match proofs::prove_all(&[&lending]) {
        Ok(reports) => reports,
        Err(broken) => panic!("{broken}"),
    };
    let report = &reports["lending"];
    let failed_at: Vec<&str> = report.failed_at.iter().map(String::as_str).collect();
    assert_eq!(failed_at, ["agree", "hand-out", "keep-copy", "read"], "steps that failed");
    let hit = |boundary: &str| {
        report.hits.keys().filter(|(b, _)| *b == boundary).map(|(_, step)| step.as_str()).collect::<BTreeSet<_>>()
    };
    let everywhere = BTreeSet::from(["", "agree", "keep-copy", "hand-out", "read", "bring-back", "tell", "closed"]);
    assert_eq!(hit("commit"), everywhere);
    // Nothing is under way before the start, and nothing is asked while the reader reads.
    assert!(
        hit("publish").is_superset(&BTreeSet::from(["agree", "keep-copy", "hand-out", "bring-back", "tell"])),
        "{:?}",
        hit("publish")
    );
    assert!(
        hit("call").is_superset(&BTreeSet::from(["agree", "keep-copy", "hand-out", "bring-back", "tell"])),
        "{:?}",
        hit("call")
    );
    assert!(report.stories > 80 && report.crashes > 1_000, "{} stories, {} crashes", report.stories, report.crashes);
    println!("{} stories, {} crashes, {} decisions", report.stories, report.crashes, report.decisions);
}

/// The proof of a saga with this fault must fail, and say why.
fn check_found(fault: Fault, why: &str) {
    let broken = proofs::prove(&LendingRehearsal(Lending::with(fault)));
    match broken {
        Ok(report) => panic!("{fault:?} was not found in {} stories", report.stories),
        Err(broken) => assert!(broken.problem.contains(why), "{fault:?}: {broken}"),
    }
}

#[test]
fn a_command_that_is_asked_once_only_is_found() {
    check_found(Fault::AsksOnce, "it waits at Some(\"bring-back\") for something that never comes");
}

#[test]
fn a_forgotten_compensation_is_found() {
    check_found(Fault::UndoesNothing, "the copy is still kept");
}

#[test]
fn a_saga_that_takes_old_news_is_found() {
    check_found(Fault::TakesOldNews, "opened it again although everything had been said before");
}
