//! How each story ends, and that every end has its sentences.

use super::*;
use crate::saga::outcome::{NotLent, Outcome, Reader, Waited};

/// A case out, whose way home `input` begins, and which then ended so.
fn out_then(input: Option<Input>, end: LeaseEnd) -> Outcome {
    let mut case = Case::at("await-enrolment");
    if let Some(input) = input {
        case.take(input);
    }
    Outcome::of(case.take(lease(9, LeaseState::Closed(end))).data())
}

#[test]
fn the_outcome_of_an_account_that_was_out() {
    let elsewhere = || LeaseEnd::ProtectedElsewhere("vault".parse().unwrap());
    let table = [
        (Some(enrolled()), LeaseEnd::Home, Outcome::Enrolled),
        (Some(cancel()), LeaseEnd::Home, Outcome::Cancelled),
        (Some(return_now()), LeaseEnd::Home, Outcome::NotEnrolled),
        (Some(Input::Repudiated), LeaseEnd::Home, Outcome::Repudiated),
        (Some(lease(8, LeaseState::Closing)), LeaseEnd::Home, Outcome::NotEnrolled),
        (None, LeaseEnd::Home, Outcome::NotEnrolled),
        (None, LeaseEnd::Gone, Outcome::Gone),
        (Some(enrolled()), LeaseEnd::Gone, Outcome::Gone),
        (None, elsewhere(), Outcome::ProtectedElsewhere),
        (None, LeaseEnd::Released, Outcome::Released),
        (Some(Input::Repudiated), elsewhere(), Outcome::Repudiated),
    ];
    for (input, end, outcome) in table {
        assert_eq!(out_then(input.clone(), end.clone()), outcome, "{input:?} then {end:?}");
    }
}

#[test]
fn what_could_never_be_read_is_unconfirmed() {
    let mut case = Case::at("lend");
    case.take(lease_with(2, LeaseState::Active, Factor::Unknown)).take(confirmed());
    case.take(lease_with(9, LeaseState::Closed(LeaseEnd::Home), Factor::Unknown));
    assert_eq!(Outcome::of(case.data()), Outcome::Unconfirmed);
}

#[test]
fn the_outcome_of_an_account_that_was_never_lent() {
    let refusals = [Refusal::Changed, Refusal::Busy, Refusal::Expired, Refusal::Cap, Refusal::Grant, Refusal::Draining];
    for refusal in refusals {
        let mut case = Case::at("lend");
        case.take(refused(1, refusal));
        let outcome = Outcome::of(case.data());
        assert_eq!(outcome, Outcome::NotLent(NotLent::Refused(refusal)));
        assert!(outcome.can_be_prefilled_from());
    }
    let mut case = Case::at("lend");
    case.take(cancel()).take(lease(1, LeaseState::Closed(LeaseEnd::NeverLent)));
    assert_eq!(Outcome::of(case.data()), Outcome::Cancelled);
    let mut case = Case::at("lend");
    case.take(return_now()).take(refused(1, Refusal::Busy));
    assert_eq!(Outcome::of(case.data()), Outcome::NotLent(NotLent::Refused(Refusal::Busy)));
}

#[test]
fn a_repudiation_after_the_end_does_not_reopen_the_recovery() {
    let mut case = Case::at("closed");
    case.take(Input::Repudiated);
    assert!(case.changed && case.progress.is_closed() && case.data().repudiated_at.is_some());
}

#[test]
fn every_outcome_has_a_sentence_for_each_reader() {
    let refusals = [Refusal::Changed, Refusal::Busy, Refusal::Expired, Refusal::Cap, Refusal::Grant, Refusal::Draining];
    let mut outcomes = vec![
        Outcome::Enrolled,
        Outcome::NotEnrolled,
        Outcome::Unconfirmed,
        Outcome::Cancelled,
        Outcome::Repudiated,
        Outcome::Gone,
        Outcome::ProtectedElsewhere,
        Outcome::Released,
        Outcome::CaseLost,
        Outcome::Denied,
        Outcome::NotLent(NotLent::NoAnswer),
        Outcome::NotLent(NotLent::TooSoon),
    ];
    outcomes.extend(refusals.map(|refusal| Outcome::NotLent(NotLent::Refused(refusal))));
    outcomes.extend([Waited::Proof, Waited::Approval, Waited::Slot, Waited::FreshProof].map(Outcome::Expired));
    for outcome in outcomes {
        for reader in [Reader::Owner, Reader::Staff] {
            let sentence = outcome.sentence(reader);
            assert!(sentence.ends_with('.') && sentence.len() > 20, "{outcome:?} for {reader:?}: {sentence:?}");
        }
        assert!(outcome.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    }
    assert!(Outcome::NotEnrolled.sentence(Reader::Owner).contains("asked for one at the next sign-in; ask again if you cannot"));
}
