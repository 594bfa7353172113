//! The rules of the procedure that the saga itself keeps, one test each.

use super::*;
use crate::saga::outcome::{Outcome, Reason, Waited};

fn high() -> Case {
    Case::with(terms(2, 2))
}

#[test]
fn a_second_proof_of_one_kind_does_not_count() {
    let mut case = high();
    case.take(proof(ProofKind::CallBack)).take(proof(ProofKind::CallBack));
    assert_eq!(case.step(), "prove");
    case.take(proof(ProofKind::Vendor));
    assert_eq!(case.step(), "approve");
}

#[test]
fn proof_of_a_kind_that_the_tier_does_not_take_does_not_count() {
    let mut case = Case::with(Terms { kinds: [ProofKind::Vendor].into(), ..terms(1, 1) });
    case.take(proof(ProofKind::CallBack));
    assert_eq!(case.step(), "prove");
    case.take(proof(ProofKind::Vendor));
    assert_eq!(case.step(), "approve");
}

#[test]
fn a_second_approval_by_the_same_person_does_not_count() {
    let mut case = high();
    case.take(proof(ProofKind::CallBack)).take(proof(ProofKind::Vendor)).take(vote("anna", true)).take(vote("anna", true));
    assert_eq!(case.step(), "approve");
    case.take(vote("boris", true));
    assert_eq!(case.step(), "take-slot");
}

#[test]
fn an_approval_before_there_is_proof_does_not_count() {
    let mut case = Case::new();
    case.take(vote("anna", true)).take(proof(ProofKind::CallBack));
    assert_eq!(case.step(), "approve");
}

#[test]
fn the_requester_never_approves() {
    let mut case = Case::at("approve");
    case.take(vote("rita", true));
    assert_eq!(case.step(), "approve");
}

#[test]
fn a_denial_counts_until_the_grant_and_not_after() {
    let mut case = Case::at("take-slot");
    case.take(vote("boris", false));
    assert_eq!(case.step(), "close");
    assert_eq!(Outcome::of(case.data()), Outcome::Denied);
    assert_eq!(
        case.asked,
        [
            Command::GiveSlotBack,
            Command::WithdrawVotes,
            Command::Tell(Notice::Closed, Recipient::Owner),
            Command::Tell(Notice::Closed, Recipient::Person("rita".parse().unwrap())),
            Command::Tell(Notice::Closed, Recipient::Person("anna".parse().unwrap())),
            Command::Tell(Notice::Closed, Recipient::Person("boris".parse().unwrap())),
        ],
        "compensations newest first, then everyone is told"
    );
    let mut case = Case::at("lend");
    case.take(vote("boris", false));
    assert_eq!(case.step(), "lend");
}

#[test]
fn proof_that_is_too_old_at_the_grant_does_not_count() {
    let mut case = Case::with(Terms { proof_valid: hours(1), ..terms(1, 1) });
    case.take(proof(ProofKind::CallBack)).take(vote("anna", true));
    case.now += TimeDelta::minutes(61);
    case.take(Input::SlotTaken);
    assert_eq!(case.step(), "close");
    assert!(case.asked.contains(&Command::GiveSlotBack) && !case.asked.contains(&Command::Lend), "{:?}", case.asked);
    assert_eq!(Outcome::of(case.data()), Outcome::Expired(Waited::FreshProof));
}

#[test]
fn fresh_proof_takes_the_place_of_proof_that_no_longer_counts() {
    let mut case = Case::with(Terms { proof_valid: hours(1), ..terms(2, 1) });
    case.take(proof(ProofKind::CallBack));
    case.now += TimeDelta::minutes(50);
    case.take(proof(ProofKind::Vendor)).take(vote("anna", true));
    case.now += TimeDelta::minutes(11);
    case.take(proof(ProofKind::CallBack)).take(Input::SlotTaken);
    assert_eq!(case.step(), "lend");
}

#[test]
fn each_wait_before_the_guard_expires() {
    let table = [("prove", Reason::NoProof), ("approve", Reason::NoApproval), ("take-slot", Reason::NoSlot)];
    for (step, reason) in table {
        let mut case = Case::at(step);
        case.wait(TimeDelta::hours(25));
        assert_eq!((case.step(), case.data().failure), ("close", Some(reason)));
        assert!(case.asked.contains(&Command::Tell(Notice::Closed, Recipient::Owner)), "{step}: the owner is told");
    }
}

#[test]
fn a_wait_ends_when_the_proof_stops_counting() {
    let mut case = Case::with(Terms { proof_valid: hours(1), ..terms(1, 1) });
    case.take(proof(ProofKind::CallBack)).wait(TimeDelta::minutes(59));
    assert_eq!(case.step(), "approve");
    case.wait(TimeDelta::minutes(1));
    assert_eq!(case.step(), "close");
}

#[test]
fn a_place_that_comes_too_late_changes_nothing() {
    let mut case = Case::at("take-slot");
    case.take(cancel()).take(Input::SlotTaken);
    assert_eq!((case.step(), case.data().granted_at), ("close", None));
}

#[test]
fn an_unanswered_lend_is_asked_again_and_then_ended_by_a_return() {
    let mut case = Case::at("lend");
    assert_eq!(case.wait(TimeDelta::seconds(30)).asked, [Command::Lend]);
    assert!(case.wait(TimeDelta::seconds(30)).asked.is_empty(), "the wait doubles");
    case.wait(TimeDelta::minutes(20));
    assert_eq!((case.step(), case.data().failure), ("return", Some(Reason::NoAnswer)));
    case.wait(TimeDelta::days(30));
    assert_eq!(case.step(), "return", "a return is never given up");
    case.take(lease(1, LeaseState::Closed(LeaseEnd::NeverLent)));
    assert_eq!(case.step(), "close", "nothing was opened, so there is nothing to clean");
}

#[test]
fn an_opened_lease_is_waited_for_until_it_is_due() {
    let mut case = Case::at("lend");
    case.take(lease(1, LeaseState::Opening)).wait(TimeDelta::hours(3));
    assert_eq!(case.step(), "lend");
    case.wait(TimeDelta::hours(1));
    assert_eq!(case.step(), "return");
}

#[test]
fn a_late_lent_asks_for_the_return_again() {
    let mut case = Case::at("lend");
    case.take(cancel());
    assert_eq!(case.step(), "return");
    case.take(lease(2, LeaseState::Active));
    assert_eq!((case.step(), case.asked.len()), ("return", 1), "asked again at once");
    case.take(lease(2, LeaseState::Active));
    assert!(case.asked.is_empty(), "a repeat is no news");
    case.take(lease(3, LeaseState::Closed(LeaseEnd::Home))).take(lease(2, LeaseState::Active));
    assert_eq!(case.step(), "clean", "what is older than the end is no news");
}

#[test]
fn no_deadline_ends_the_return() {
    let mut case = Case::at("return");
    for _ in 0..100 {
        case.wait(TimeDelta::days(10));
        assert_eq!(case.step(), "return");
    }
    assert!(!case.asked.is_empty());
}

#[test]
fn the_reset_depends_on_the_factor_at_the_lend() {
    let lent = |factor| {
        let mut case = Case::at("lend");
        case.take(lease_with(2, LeaseState::Active, factor));
        case
    };
    assert_eq!(lent(Factor::Absent).asked, [Command::Watch]);
    assert_eq!(lent(Factor::Enrolled).asked, [Command::Watch, Command::ResetFactor]);
    let mut case = lent(Factor::Unknown);
    assert_eq!(case.asked, [Command::Watch, Command::ResetFactor]);
    case.take(person_needed());
    let told = Command::Tell(Notice::ResetNeeded, Recipient::Person("rita".parse().unwrap()));
    assert_eq!(case.asked, [Command::Watch, told]);
    case.take(noticed(Notice::ResetNeeded, Recipient::Person("rita".parse().unwrap())));
    assert_eq!(case.wait(TimeDelta::minutes(5)).asked, [Command::Watch], "the person was told; directory looks");
    case.take(confirmed());
    assert_eq!(case.step(), "invite", "nothing can be read, so the confirmed human step does");
}

#[test]
fn a_word_asks_for_a_read_and_proves_nothing() {
    let mut case = Case::at("reset-factor");
    case.take(person_needed()).take(confirmed());
    assert_eq!((case.step(), &case.asked[..]), ("reset-factor", &[Command::Watch, Command::ResetFactor][..]));
    case.take(person_needed());
    assert_eq!(case.step(), "reset-factor", "it is still there");
    case.take(absent());
    assert_eq!(case.step(), "invite");
}

#[test]
fn a_person_who_cannot_be_told_holds_nothing_up() {
    let mut case = Case::at("reset-factor");
    let to = Recipient::Person(person("rita"));
    case.take(person_needed()).take(Input::Noticed { notice: Notice::ResetNeeded, to, delivery: Delivery::Failed });
    assert_eq!(case.wait(TimeDelta::minutes(5)).asked, [Command::Watch]);
}

#[test]
fn the_user_is_reminded_once_at_half_time() {
    let mut case = Case::at("await-enrolment");
    let reminder = Command::Tell(Notice::Reminder, Recipient::Owner);
    assert!(!case.wait(TimeDelta::minutes(110)).asked.contains(&reminder));
    assert!(case.wait(TimeDelta::minutes(10)).asked.contains(&reminder));
    assert!(!case.wait(TimeDelta::minutes(60)).asked.contains(&reminder));
}

#[test]
fn an_invitation_that_failed_holds_nothing_up() {
    let mut case = Case::at("invite");
    case.take(Input::Noticed { notice: Notice::Invitation, to: Recipient::Owner, delivery: Delivery::Failed });
    assert_eq!(case.step(), "await-enrolment");
}

#[test]
fn the_slot_is_given_back_with_the_end_of_the_lease() {
    let mut case = Case::at("return");
    case.take(lease(5, LeaseState::Closed(LeaseEnd::Home)));
    assert_eq!(case.asked, [Command::GiveSlotBack, Command::Unwatch, Command::CleanWindow]);
    let mut case = Case::at("lend");
    case.take(refused(1, Refusal::Cap));
    assert!(case.asked.contains(&Command::GiveSlotBack) && !case.asked.contains(&Command::Unwatch), "{:?}", case.asked);
}

#[test]
fn only_a_request_that_went_past_the_grant_can_be_returned_early() {
    let mut case = Case::at("take-slot");
    case.take(return_now());
    assert!(!case.changed && case.step() == "take-slot");
}

#[test]
fn the_approvers_are_asked_when_the_proof_is_there() {
    let mut case = Case::new();
    assert!(case.asked.is_empty());
    assert_eq!(case.take(proof(ProofKind::CallBack)).asked, [Command::AskApprovers]);
}

#[test]
fn proof_that_was_carried_over_is_enough_by_itself() {
    let now = start_of_time();
    let mut data = Data::new("acme".parse().unwrap(), "mia".parse().unwrap(), person("rita"), terms(1, 1));
    data.proofs.insert(ProofKind::CallBack, now - TimeDelta::hours(23));
    let moved = plan(&RecoverySaga::new(), &Progress::fresh(data, now), &Event::Start, now);
    assert_eq!((moved.progress.step.as_deref(), &moved.commands[..]), (Some("approve"), &[Command::AskApprovers][..]));
}

#[test]
fn a_lost_case_whose_lease_is_open_goes_straight_home() {
    let now = start_of_time();
    let mut data = Data::new("acme".parse().unwrap(), "mia".parse().unwrap(), person("homeward"), terms(1, 1));
    let Input::Lease(lease) = lease(3, LeaseState::Active) else { unreachable!("made above") };
    (data.lease, data.leave) = (Some(lease), Some(crate::saga::data::Leave::CaseLost));
    let moved = plan(&RecoverySaga::new(), &Progress::fresh(data, now), &Event::Start, now);
    assert_eq!(moved.progress.step.as_deref(), Some("return"));
    assert!(moved.commands.iter().any(|command| matches!(command, Command::Return(_))), "{:?}", moved.commands);
}
