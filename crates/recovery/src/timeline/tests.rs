use std::sync::Arc;

use homeward_saga::{Progress, plan};
use homeward_types::Timestamp;
use uuid::Uuid;

use super::*;
use crate::saga::tests as hands;

/// The entries of one event on a case.
fn told(progress: &Progress<Data>, event: Event<Input>, now: Timestamp) -> Vec<Entry> {
    let moved = plan(&RecoverySaga::new(), progress, &event, now);
    let from = if event == Event::Start { None } else { progress.step.clone() };
    entries(&Applied {
        id: Uuid::nil(),
        version: 1,
        event,
        cause: None,
        from,
        progress: Arc::new(moved.progress),
        commands: moved.commands,
        entered: moved.entered,
        trace: homeward_chassis::telemetry::TraceContext::default(),
        row_version: 1,
    })
}

fn kinds(step: &str, input: Input) -> Vec<&'static str> {
    let case = hands::Case::at(step);
    told(&case.progress, Event::Input(input), case.now).into_iter().map(|entry| entry.kind).collect()
}

#[test]
fn each_fact_of_the_story_has_its_entry() {
    let table: Vec<(&str, Input, &[&str])> = vec![
        ("prove", hands::proof(ProofKind::CallBack), &["proof-attached"]),
        ("approve", hands::vote("anna", true), &["approved"]),
        ("approve", hands::vote("anna", false), &["denied"]),
        ("take-slot", Input::SlotTaken, &["slot-taken", "granted"]),
        ("lend", hands::lease(1, LeaseState::Opening), &["lease-opened"]),
        ("lend", hands::lease(1, LeaseState::Active), &["lent"]),
        ("lend", hands::cancel(), &["cancelled", "returning"]),
        ("lend", hands::refused(1, homeward_types::Refusal::Cap), &["not-lent"]),
        ("reset-factor", hands::person_needed(), &["reset-needed"]),
        ("reset-factor", hands::confirmed(), &["reset-confirmed"]),
        ("reset-factor", hands::absent(), &["factor-absent"]),
        ("invite", hands::noticed(Notice::Invitation, Recipient::Owner), &["invited"]),
        ("await-enrolment", hands::enrolled(), &["enrolled", "returning"]),
        ("await-enrolment", hands::lease(9, LeaseState::Closing), &["returning"]),
        ("return", hands::lease(9, LeaseState::Closed(LeaseEnd::Home)), &["returned"]),
        ("clean", hands::cleaned(), &["cleaned"]),
        ("close", hands::noticed(Notice::Closed, Recipient::Owner), &["notified"]),
        ("closed", Input::Repudiated, &["repudiated"]),
    ];
    for (step, input, expected) in table {
        assert_eq!(kinds(step, input.clone()), expected, "{step} on {input:?}");
    }
}

#[test]
fn the_last_notice_closes_the_case_with_its_outcome() {
    let mut case = hands::Case::at("close");
    for who in ["rita", "anna"] {
        case.take(hands::noticed(Notice::Closed, Recipient::Person(who.parse().unwrap())));
    }
    let last = told(&case.progress, Event::Input(hands::noticed(Notice::Closed, Recipient::Owner)), case.now);
    assert_eq!(last.iter().map(|entry| entry.kind).collect::<Vec<_>>(), ["notified", "closed"]);
    assert_eq!(last[1].sentence, Outcome::Enrolled.sentence(Reader::Staff));
}

#[test]
fn a_deadline_says_what_was_waited_for() {
    let case = hands::Case::at("approve");
    let told = told(&case.progress, Event::Tick, case.now + chrono::TimeDelta::hours(25));
    assert_eq!(told, [Entry::seen("expired", "Not enough approvals came in time.")]);
}

#[test]
fn the_request_says_what_it_takes() {
    let now = hands::start_of_time();
    let data = Data::new("acme".parse().unwrap(), "mia".parse().unwrap(), hands::person("rita"), hands::terms(2, 2));
    let told = told(&Progress::fresh(data, now), Event::Start, now);
    assert_eq!(told[0].sentence, "rita asked for a recovery; it takes 2 proofs and 2 approvals.");
    assert_eq!(told[0].actor, Some(hands::person("rita")));
}
