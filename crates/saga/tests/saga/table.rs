//! The demo saga on every pair of state and event. What the table does not name must stay where it is and ask nothing.

use chrono::{DateTime, TimeDelta};
use homeward_saga::proofs::laws;
use homeward_saga::{Event, Progress, due_at, plan};
use homeward_types::Timestamp;

use crate::demo::{Book, Command, Fault, Input, Lending, Loan, PATIENCE, Place, RE_ASK, Why};
use Command::{Ask, BringBack, Forget, HandOut, Keep, Release, Remind, Tell, Thank};

pub fn start_of_time() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn out(version: u32) -> Book {
    Book { version, place: Place::Out }
}

pub fn home(version: u32) -> Book {
    Book { version, place: Place::Home }
}

/// A saga that has just entered `step`.
fn at(step: Option<&str>, data: Loan) -> Progress<Loan> {
    Progress { step: step.map(str::to_owned), ..Progress::fresh(data, start_of_time()) }
}

/// The states, by name: each step with what is known when it is entered, on the good way and on a bad one.
fn states() -> Vec<(&'static str, Progress<Loan>)> {
    let nothing = Loan::default();
    let agreed = Loan { agreed: Some(true), ..nothing.clone() };
    let kept = Loan { kept: Some(true), ..agreed.clone() };
    let lent = Loan { book: out(1), ..kept.clone() };
    let read = Loan { read: true, ..lent.clone() };
    let back = Loan { book: home(2), ..read.clone() };
    let told = Loan { told: true, ..back.clone() };
    let late = Loan { failure: Some(Why::Late), ..kept.clone() };
    let refused = Loan { agreed: Some(false), failure: Some(Why::Refused), ..nothing.clone() };
    let refused_and_told = Loan { told: true, ..refused.clone() };
    vec![
        ("new", at(Some(""), nothing.clone())),
        ("agree", at(Some("agree"), nothing)),
        ("keep-copy", at(Some("keep-copy"), agreed)),
        ("hand-out", at(Some("hand-out"), kept)),
        ("read", at(Some("read"), lent)),
        ("bring-back", at(Some("bring-back"), read)),
        ("bring-back, unheard of", at(Some("bring-back"), late)),
        ("tell", at(Some("tell"), back)),
        ("tell, never lent", at(Some("tell"), refused)),
        ("closed", at(None, told)),
        ("closed, never lent", at(None, refused_and_told)),
    ]
}

/// The events, by name, and when they come.
fn events() -> Vec<(&'static str, Event<Input>, TimeDelta)> {
    let at_once = TimeDelta::zero();
    let input = |name, input| (name, Event::Input(input), at_once);
    vec![
        ("start", Event::Start, at_once),
        input("yes", Input::Agreed(true)),
        input("no", Input::Agreed(false)),
        input("kept", Input::Kept(true)),
        input("none left", Input::Kept(false)),
        input("out 1", Input::Book(out(1))),
        input("home 2", Input::Book(home(2))),
        input("out 3", Input::Book(out(3))),
        input("read", Input::Read),
        input("cancelled", Input::Cancelled),
        input("told", Input::Told),
        ("at once", Event::Tick, at_once),
        ("re-ask", Event::Tick, TimeDelta::from_std(RE_ASK).unwrap()),
        ("half", Event::Tick, PATIENCE / 2),
        ("three quarters", Event::Tick, PATIENCE * 3 / 4),
        ("deadline", Event::Tick, PATIENCE),
    ]
}

/// Where it is afterwards, and what it asks.
type Row = (&'static str, &'static str, Option<&'static str>, &'static [Command]);

const TABLE: &[Row] = &[
    ("new", "start", Some("agree"), &[Ask]),
    // Before the guard: newest compensation first, the failed step's included.
    ("agree", "yes", Some("keep-copy"), &[Keep]),
    ("agree", "no", Some("tell"), &[Forget, Tell]),
    ("agree", "cancelled", Some("tell"), &[Forget, Tell]),
    ("agree", "half", Some("agree"), &[Remind]),
    ("agree", "three quarters", Some("agree"), &[Remind, Remind]),
    ("agree", "deadline", Some("tell"), &[Forget, Tell]),
    ("keep-copy", "kept", Some("hand-out"), &[HandOut]),
    ("keep-copy", "none left", Some("tell"), &[Release, Forget, Tell]),
    ("keep-copy", "cancelled", Some("tell"), &[Release, Forget, Tell]),
    ("keep-copy", "re-ask", Some("keep-copy"), &[Keep]),
    ("keep-copy", "half", Some("keep-copy"), &[Keep]),
    ("keep-copy", "three quarters", Some("keep-copy"), &[Keep]),
    ("keep-copy", "deadline", Some("tell"), &[Release, Forget, Tell]),
    // From the guard on: by bringing back, or not at all.
    ("hand-out", "out 1", Some("read"), &[]),
    ("hand-out", "out 3", Some("read"), &[]),
    ("hand-out", "home 2", Some("tell"), &[Release, Tell]),
    ("hand-out", "cancelled", Some("bring-back"), &[BringBack]),
    ("hand-out", "re-ask", Some("hand-out"), &[HandOut]),
    ("hand-out", "half", Some("hand-out"), &[HandOut]),
    ("hand-out", "three quarters", Some("hand-out"), &[HandOut]),
    ("hand-out", "deadline", Some("bring-back"), &[BringBack]),
    ("read", "read", Some("bring-back"), &[Thank, BringBack]),
    ("read", "home 2", Some("tell"), &[Release, Tell]),
    ("read", "cancelled", Some("bring-back"), &[BringBack]),
    ("read", "deadline", Some("bring-back"), &[BringBack]),
    // Never given up; its deadline means nothing.
    ("bring-back", "home 2", Some("tell"), &[Release, Tell]),
    ("bring-back", "out 3", Some("bring-back"), &[BringBack]),
    ("bring-back", "re-ask", Some("bring-back"), &[BringBack]),
    ("bring-back", "half", Some("bring-back"), &[BringBack]),
    ("bring-back", "three quarters", Some("bring-back"), &[BringBack]),
    ("bring-back", "deadline", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "out 1", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "home 2", Some("tell"), &[Release, Tell]),
    ("bring-back, unheard of", "out 3", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "re-ask", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "half", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "three quarters", Some("bring-back"), &[BringBack]),
    ("bring-back, unheard of", "deadline", Some("bring-back"), &[BringBack]),
    ("tell", "told", None, &[]),
    ("tell", "re-ask", Some("tell"), &[Tell]),
    ("tell", "half", Some("tell"), &[Tell]),
    ("tell", "three quarters", Some("tell"), &[Tell]),
    ("tell", "deadline", Some("tell"), &[Tell]),
    ("tell, never lent", "told", None, &[]),
    ("tell, never lent", "re-ask", Some("tell"), &[Tell]),
    ("tell, never lent", "half", Some("tell"), &[Tell]),
    ("tell, never lent", "three quarters", Some("tell"), &[Tell]),
    ("tell, never lent", "deadline", Some("tell"), &[Tell]),
    // News that comes late: there is something to bring back after all.
    ("tell", "out 3", Some("bring-back"), &[BringBack]),
    ("tell, never lent", "out 1", Some("bring-back"), &[BringBack]),
    ("tell, never lent", "out 3", Some("bring-back"), &[BringBack]),
    ("closed", "out 3", Some("bring-back"), &[BringBack]),
    ("closed, never lent", "out 1", Some("bring-back"), &[BringBack]),
    ("closed, never lent", "out 3", Some("bring-back"), &[BringBack]),
];

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let saga = Lending::new();
    let mut named = 0;
    for (state, before) in states() {
        for (name, event, after) in events() {
            let row = TABLE.iter().find(|(s, e, ..)| (*s, *e) == (state, name));
            let (want, commands) = row.map_or((before.step.as_deref(), &[][..]), |(_, _, step, commands)| (*step, *commands));
            named += usize::from(row.is_some());
            let now = start_of_time() + after;
            let moved = plan(&saga, &before, &event, now);
            assert_eq!(moved.progress.step.as_deref(), want, "{state} on {name}");
            assert_eq!(moved.commands, commands, "{state} on {name}");
            assert_eq!(laws::check(&saga, &before, &event, now, &moved), Ok(()), "{state} on {name}");
        }
    }
    assert_eq!(named, TABLE.len(), "a row of the table names a state or an event that does not exist, or twice the same");
}

#[test]
fn a_fact_that_came_early_is_not_asked_for() {
    let saga = Lending::new();
    let now = start_of_time();
    let early = plan(&saga, &at(Some("agree"), Loan::default()), &Event::Input(Input::Kept(true)), now);
    assert_eq!((early.progress.step.as_deref(), early.changed, early.commands.len()), (Some("agree"), true, 0));
    let later = plan(&saga, &early.progress, &Event::Input(Input::Agreed(true)), now);
    assert_eq!(later.entered, ["keep-copy", "hand-out"]);
    assert_eq!(later.commands, [HandOut]);
}

#[test]
fn the_first_failure_decides_the_outcome() {
    let saga = Lending::new();
    let now = start_of_time();
    let late = plan(&saga, &states()[3].1, &Event::Tick, now + PATIENCE);
    let cancelled = plan(&saga, &late.progress, &Event::Input(Input::Cancelled), now + PATIENCE);
    assert_eq!(cancelled.progress.data.failure, Some(Why::Late));
    assert_eq!(cancelled.progress.step.as_deref(), Some("bring-back"));
}

#[test]
fn asking_again_waits_longer_each_time_and_never_longer_than_the_longest() {
    let saga = Lending::new();
    let mut progress = at(Some("tell"), Loan { agreed: Some(false), ..Loan::default() });
    let mut waits = Vec::new();
    for _ in 0..5 {
        let due = due_at(&saga, &progress).unwrap();
        waits.push((due - progress.asked_at).num_seconds());
        progress = plan(&saga, &progress, &Event::Tick, due).progress;
    }
    assert_eq!(waits, [10, 20, 40, 40, 40]);
}

#[test]
fn a_saga_that_asks_without_a_pause_still_rests_for_a_moment() {
    let saga = Lending::with(Fault::NeverRests);
    let asked = plan(&saga, &at(Some("agree"), Loan::default()), &Event::Tick, start_of_time() + TimeDelta::seconds(1));
    assert_eq!(asked.commands, [Ask]);
    assert_eq!(due_at(&saga, &asked.progress), Some(start_of_time() + TimeDelta::milliseconds(1_001)));
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_due_twice() {
    let saga = Lending::new();
    let asked = plan(&saga, &states()[2].1, &Event::Tick, start_of_time() + TimeDelta::seconds(10));
    let back = plan(&saga, &asked.progress, &Event::Tick, start_of_time() - TimeDelta::hours(1));
    assert!(!back.changed, "{back:?}");
}

#[test]
fn a_step_that_the_definition_does_not_have_is_left_where_it_is() {
    let saga = Lending::new();
    let before = at(Some("borrowed-from-the-future"), Loan::default());
    for (name, event, after) in events() {
        let moved = plan(&saga, &before, &event, start_of_time() + after);
        assert_eq!((moved.progress.step.as_deref(), moved.commands.len()), (before.step.as_deref(), 0), "{name}");
    }
    assert_eq!(due_at(&saga, &before), None);
}
