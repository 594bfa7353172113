//! Every state that the demo saga can be in, and chance: the laws hold everywhere, and every way ends.

use std::collections::HashSet;

use chrono::TimeDelta;
use homeward_saga::proofs::laws;
use homeward_saga::{Event, Progress, due_at, plan};
use homeward_types::Timestamp;
use proptest::prelude::*;

use crate::demo::{Book, Command, Input, Lending, Loan, PATIENCE, Place};
use crate::table::{home, out, start_of_time};

fn inputs() -> Vec<Input> {
    vec![
        Input::Agreed(true),
        Input::Agreed(false),
        Input::Kept(true),
        Input::Kept(false),
        Input::Book(out(1)),
        Input::Book(home(2)),
        Input::Book(out(3)),
        Input::Book(home(4)),
        Input::Read,
        Input::Cancelled,
        Input::Told,
    ]
}

/// One decision that keeps the laws.
fn lawful(saga: &Lending, before: &Progress<Loan>, event: &Event<Input>, now: Timestamp) -> Progress<Loan> {
    let moved = plan(saga, before, event, now);
    if let Err(broken) = laws::check(saga, before, event, now, &moved) {
        panic!("{before:?} on {event:?}: {broken}");
    }
    let again = plan(saga, &moved.progress, event, now);
    assert!(!again.changed, "{before:?} on {event:?}: a repeat changes something: {again:?}");
    moved.progress
}

/// As if the step had just been entered, so that equal states are found equal.
fn at_its_beginning(mut progress: Progress<Loan>) -> Progress<Loan> {
    let now = start_of_time();
    (progress.entered_at, progress.asked_at, progress.asked_again, progress.reminded) = (now, now, 0, 0);
    progress
}

#[test]
fn the_laws_hold_in_every_state_that_can_be_reached() {
    let saga = Lending::new();
    let mut events: Vec<Event<Input>> = inputs().into_iter().map(Event::Input).collect();
    events.extend([Event::Start, Event::Tick]);
    let mut seen = HashSet::new();
    let mut open = vec![Progress::fresh(Loan::default(), start_of_time())];
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        for event in &events {
            for after in [TimeDelta::zero(), TimeDelta::seconds(10), PATIENCE / 2, PATIENCE] {
                open.push(at_its_beginning(lawful(&saga, &state, event, start_of_time() + after)));
            }
        }
    }
    assert!(seen.len() > 1_000, "only {} states", seen.len());
    let steps: HashSet<_> = seen.iter().map(|state| state.step.clone()).collect();
    assert_eq!(steps.len(), 8, "{steps:?}");
}

/// The shelf and the people, fair: everything is answered, some of it in a reader's own time.
fn answer(command: Command, book: Book) -> Option<Input> {
    match command {
        Command::Ask => Some(Input::Agreed(true)),
        Command::Keep => Some(Input::Kept(true)),
        Command::HandOut if book.place == Place::Unheard => Some(Input::Book(out(book.version + 1))),
        Command::BringBack => Some(Input::Book(home(book.version + 1))),
        Command::Tell => Some(Input::Told),
        Command::HandOut | Command::Forget | Command::Release | Command::Remind | Command::Thank => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Inputs come repeated, reordered, late or not at all, ticks come when they like; then the world becomes fair.
    #[test]
    fn whatever_comes_the_laws_hold_and_fair_ticks_end_it(
        noise in prop::collection::vec((0..14_usize, 0..60_i64), 0..40),
    ) {
        let saga = Lending::new();
        let inputs = inputs();
        let mut now = start_of_time();
        let mut progress = lawful(&saga, &Progress::fresh(Loan::default(), now), &Event::Start, now);
        for (pick, seconds) in noise {
            now += TimeDelta::seconds(seconds);
            let event = inputs.get(pick).cloned().map_or(Event::Tick, Event::Input);
            progress = lawful(&saga, &progress, &event, now);
        }
        for turn in 0.. {
            prop_assert!(turn < 100, "still at {:?}", progress.step);
            let Some(due) = due_at(&saga, &progress) else { break };
            now = now.max(due);
            let moved = plan(&saga, &progress, &Event::Tick, now);
            progress = lawful(&saga, &progress, &Event::Tick, now);
            for command in moved.commands {
                if let Some(input) = answer(command, progress.data.book) {
                    progress = lawful(&saga, &progress, &Event::Input(input), now);
                }
            }
        }
        prop_assert!(progress.is_closed(), "it waits at {:?}", progress.step);
        prop_assert!(progress.data.book.place != Place::Out, "closed with the book out");
    }

    /// Answers that come twice, in any order, lead to the same end as answers that come once, in order.
    #[test]
    fn repeats_and_order_do_not_matter(
        order in Just(vec![0, 1, 2, 3, 4, 5]).prop_shuffle(),
        repeats in prop::collection::vec(0..6_usize, 0..12),
    ) {
        let saga = Lending::new();
        let now = start_of_time();
        let good = [Input::Agreed(true), Input::Kept(true), Input::Book(out(1)), Input::Read, Input::Book(home(2)), Input::Told];
        let mut progress = lawful(&saga, &Progress::fresh(Loan::default(), now), &Event::Start, now);
        for pick in order.into_iter().chain(repeats) {
            progress = lawful(&saga, &progress, &Event::Input(good[pick].clone()), now);
        }
        prop_assert!(progress.is_closed(), "it waits at {:?} with {:?}", progress.step, progress.data);
        prop_assert_eq!(progress.data.book, home(2));
    }
}
