//! All pairs of step and input. What the table does not name leaves the saga at its step.

use super::*;

/// The steps, and the state after the last one.
const STEPS: [&str; 11] =
    ["prove", "approve", "take-slot", "lend", "reset-factor", "invite", "await-enrolment", "return", "clean", "close", "closed"];

fn inputs() -> Vec<(&'static str, Input)> {
    vec![
        ("proof", proof(ProofKind::CallBack)),
        ("other-proof", proof(ProofKind::ManagerVouch)),
        ("approval", vote("anna", true)),
        ("denial", vote("boris", false)),
        ("vote-of-the-requester", vote("rita", true)),
        ("cancel", cancel()),
        ("return-now", return_now()),
        ("reset-confirmed", confirmed()),
        ("repudiated", Input::Repudiated),
        ("slot-taken", Input::SlotTaken),
        ("opened", lease(100, LeaseState::Opening)),
        ("lent", lease(101, LeaseState::Active)),
        ("returning", lease(102, LeaseState::Closing)),
        ("settling", lease(103, LeaseState::Settling)),
        ("home", lease(104, LeaseState::Closed(LeaseEnd::Home))),
        ("gone", lease(104, LeaseState::Closed(LeaseEnd::Gone))),
        ("elsewhere", lease(104, LeaseState::Closed(LeaseEnd::ProtectedElsewhere("vault".parse().unwrap())))),
        ("released", lease(104, LeaseState::Closed(LeaseEnd::Released))),
        ("never-lent", lease(104, LeaseState::Closed(LeaseEnd::NeverLent))),
        ("refused", refused(104, Refusal::Changed)),
        ("old-lease-news", lease(-1, LeaseState::Closed(LeaseEnd::Home))),
        ("factor-gone", Input::FactorReset(ResetAnswer::Gone)),
        ("person-needed", person_needed()),
        ("not-out", Input::FactorReset(ResetAnswer::NotOut)),
        ("absent", absent()),
        ("enrolled", enrolled()),
        ("cleaned", cleaned()),
        ("requested-told", noticed(Notice::Requested, Recipient::Owner)),
        ("invited", noticed(Notice::Invitation, Recipient::Owner)),
        ("reminded", noticed(Notice::Reminder, Recipient::Owner)),
        ("reset-told", noticed(Notice::ResetNeeded, Recipient::Person("rita".parse().unwrap()))),
        ("closing-told", noticed(Notice::Closed, Recipient::Owner)),
    ]
}

/// From, input, to.
const MOVES: &[(&[&str], &[&str], &str)] = &[
    // The straight way.
    (&["prove"], &["proof", "other-proof"], "approve"),
    (&["approve"], &["approval"], "take-slot"),
    (&["take-slot"], &["slot-taken"], "lend"),
    (&["lend"], &["lent"], "reset-factor"),
    (&["reset-factor"], &["absent"], "invite"),
    (&["invite"], &["invited"], "await-enrolment"),
    (&["reset-factor", "invite", "await-enrolment"], &["enrolled"], "return"),
    (&["return"], &["home", "gone", "elsewhere", "released"], "clean"),
    (&["return"], &["never-lent", "refused"], "close"),
    (&["clean"], &["cleaned"], "close"),
    // Before the guard every way out ends at once.
    (&["prove", "approve", "take-slot"], &["denial", "cancel", "repudiated"], "close"),
    // A lease that nobody here granted: the case was restored from a backup. What is open comes home, what is not ends.
    (&["prove", "approve", "take-slot"], &["opened", "lent", "returning", "settling"], "return"),
    (&["prove", "approve", "take-slot"], &["never-lent", "refused", "old-lease-news"], "close"),
    (&["prove", "approve", "take-slot"], &["home", "gone", "elsewhere", "released"], "close"),
    // From the guard on every way out leads through the return.
    (
        &["lend", "reset-factor", "invite", "await-enrolment"],
        &["cancel", "return-now", "repudiated", "returning", "settling"],
        "return",
    ),
    (&["lend", "reset-factor", "invite", "await-enrolment"], &["home", "gone", "elsewhere", "released"], "clean"),
    (&["lend"], &["old-lease-news"], "clean"),
    (&["lend", "reset-factor", "invite", "await-enrolment"], &["never-lent", "refused"], "close"),
    (&["return"], &["old-lease-news"], "return"),
];

fn expected(step: &str, input: &str) -> String {
    let mut found = MOVES.iter().filter(|(from, inputs, _)| from.contains(&step) && inputs.contains(&input));
    let to = found.next().map_or(step, |(_, _, to)| to);
    assert!(found.next().is_none(), "two rows for {step} on {input}");
    to.to_owned()
}

#[test]
fn every_step_answers_every_input() {
    for step in STEPS {
        for (name, input) in inputs() {
            let mut case = Case::at(step);
            case.take(input);
            assert_eq!(case.step(), expected(step, name), "{step} on {name}");
        }
    }
}

#[test]
fn every_row_of_the_table_names_what_exists() {
    let names: Vec<_> = inputs().into_iter().map(|(name, _)| name).collect();
    for (from, inputs, to) in MOVES {
        assert!(from.iter().chain([to]).all(|step| STEPS.contains(step)), "{from:?} → {to}");
        assert!(inputs.iter().all(|input| names.contains(input)), "{inputs:?}");
    }
}

#[test]
fn every_input_twice_is_the_same_as_once() {
    // Giving one's word asks for a read each time.
    for step in STEPS {
        for (name, input) in inputs().into_iter().filter(|(name, _)| *name != "reset-confirmed") {
            let mut case = Case::at(step);
            let once = case.take(input.clone()).progress.clone();
            case.take(input);
            assert_eq!(case.progress, once, "{step} on {name} twice");
            assert!(!case.changed && case.asked.is_empty(), "{step} on {name} twice asked {:?}", case.asked);
        }
    }
}

#[test]
fn what_is_stored_is_what_is_read() {
    for step in STEPS {
        for (_, input) in inputs() {
            let mut case = Case::at(step);
            case.take(input);
            let text = serde_json::to_string(&case.progress).unwrap();
            assert_eq!(serde_json::from_str::<Progress<Data>>(&text).unwrap(), case.progress, "{text}");
        }
    }
}

#[test]
fn a_recovery_is_small_at_every_step() {
    for step in STEPS {
        let length = serde_json::to_string(Case::at(step).data()).unwrap().len();
        assert!(length < 1200, "{length} bytes at {step}");
    }
}
