//! Whole recoveries, told by what they ask for.

use super::*;

#[test]
fn the_story_asks_for_the_steps_of_the_procedure_in_order() {
    let mut case = Case::new();
    let mut asked = Vec::new();
    let way = [
        proof(ProofKind::CallBack),
        vote("anna", true),
        Input::SlotTaken,
        lease_with(1, LeaseState::Opening, Factor::Absent),
        lease_with(2, LeaseState::Active, Factor::Absent),
        absent(),
        noticed(Notice::Invitation, Recipient::Owner),
        enrolled(),
        lease(3, LeaseState::Closing),
        lease(4, LeaseState::Closed(LeaseEnd::Home)),
        cleaned(),
        noticed(Notice::Closed, Recipient::Owner),
        noticed(Notice::Closed, Recipient::Person("rita".parse().unwrap())),
        noticed(Notice::Closed, Recipient::Person("anna".parse().unwrap())),
    ];
    for input in way {
        asked.extend(case.take(input).asked.clone());
    }
    let told = |who: &str| Command::Tell(Notice::Closed, Recipient::Person(who.parse().unwrap()));
    assert_eq!(
        asked,
        [
            Command::AskApprovers,
            Command::TakeSlot,
            Command::Lend,
            Command::Watch,
            Command::Tell(Notice::Invitation, Recipient::Owner),
            Command::Watch,
            Command::Return(crate::saga::command::ReturnReason::Enrolled),
            Command::GiveSlotBack,
            Command::Unwatch,
            Command::CleanWindow,
            Command::Tell(Notice::Closed, Recipient::Owner),
            told("rita"),
            told("anna"),
        ]
    );
    assert!(case.progress.is_closed());
}

#[test]
fn policy_ends_a_lease_by_itself_and_the_saga_follows() {
    for step in ["lend", "reset-factor", "invite", "await-enrolment"] {
        let mut case = Case::at(step);
        case.take(lease(7, LeaseState::Closing));
        assert_eq!(case.step(), "return", "{step}");
        case.take(lease(8, LeaseState::Closed(LeaseEnd::Home)));
        assert_eq!(case.step(), "clean", "{step}");
    }
}

#[test]
fn evidence_that_overtakes_everything_else_still_leads_home() {
    let mut case = Case::at("lend");
    case.take(enrolled()).take(absent());
    assert_eq!(case.step(), "lend", "nothing was seen out");
    case.take(lease(2, LeaseState::Active));
    assert_eq!(case.step(), "return");
    assert!(case.asked.iter().any(|command| matches!(command, Command::Return(_))), "{:?}", case.asked);
}
