//! Folds what comes in into what is known. Repeats, late and reordered inputs end here.

use homeward_saga::Noted;
use homeward_types::limits::after;
use homeward_types::{PersonId, ProofKind, Timestamp};

use super::command::Notice;
use super::data::{Data, Delivery, LeaseFact, LeaseState, Leave, Recipient, Reset, Vote};
use super::input::{Input, ResetAnswer};

/// Notes one input.
pub(super) fn note(data: &mut Data, input: &Input, now: Timestamp) -> Noted {
    match input {
        Input::ProofAttached { kind, .. } => proof(data, *kind, now),
        Input::Voted { by, approve, .. } => vote(data, by, *approve),
        Input::Cancelled { by, .. } => leave(data, Leave::Cancelled(by.clone())),
        Input::ReturnNow { .. } if data.granted_at.is_none() => Noted::Old,
        Input::ReturnNow { by, .. } => leave(data, Leave::ReturnNow(by.clone())),
        Input::ResetConfirmed { .. } => reset_confirmed(data, now),
        Input::Repudiated => once(&mut data.repudiated_at, now),
        // A place that comes too late was given back; one that comes too early is told again when it is asked for.
        Input::SlotTaken if data.failure.is_some() || !data.is_proved() || !data.is_approved() => Noted::Old,
        Input::SlotTaken => once(&mut data.granted_at, now),
        Input::Lease(news) => lease(data, news),
        Input::FactorReset(answer) => reset_answered(data, answer),
        Input::FactorAbsent { begun_at } => once(&mut data.absent_at, *begun_at),
        Input::Enrolled { seen_at, .. } => once(&mut data.enrolled_at, *seen_at),
        Input::WindowCleaned { .. } if data.cleaned => Noted::Old,
        Input::WindowCleaned { .. } => {
            data.cleaned = true;
            Noted::New
        }
        Input::Noticed { notice, to, delivery } => noticed(data, *notice, to, *delivery),
    }
}

/// The first of its kind counts.
fn once(fact: &mut Option<Timestamp>, at: Timestamp) -> Noted {
    if fact.is_some() {
        return Noted::Old;
    }
    *fact = Some(at);
    Noted::New
}

/// One of a kind; a fresh one takes the place of one that no longer counts. After the grant proof changes nothing.
fn proof(data: &mut Data, kind: ProofKind, now: Timestamp) -> Noted {
    let valid = data.terms.proof_valid.duration();
    let counts = data.proofs.get(&kind).is_some_and(|at| now <= after(*at, valid));
    if counts || data.granted_at.is_some() || data.failure.is_some() || !data.terms.takes(kind) {
        return Noted::Old;
    }
    data.proofs.insert(kind, now);
    Noted::New
}

/// One vote a person, none by the requester, none before there is proof to judge, none after the grant.
fn vote(data: &mut Data, by: &PersonId, approve: bool) -> Noted {
    let too_late = data.granted_at.is_some() || data.failure.is_some();
    let voted = data.votes.iter().any(|vote| vote.by == *by);
    if too_late || voted || *by == data.requester || (approve && !data.is_proved()) {
        return Noted::Old;
    }
    data.votes.push(Vote { by: by.clone(), approve });
    if !approve && data.leave.is_none() {
        data.leave = Some(Leave::Denied(by.clone()));
    }
    Noted::New
}

/// The first who wants out decides; who comes when it is on its way out anyway changes nothing.
fn leave(data: &mut Data, how: Leave) -> Noted {
    if data.leave.is_some() || data.is_leaving() {
        return Noted::Old;
    }
    data.leave = Some(how);
    Noted::New
}

/// Only a higher version counts, and nothing after the end. A lease that is seen open while the account should come
/// home asks for the return again.
fn lease(data: &mut Data, news: &LeaseFact) -> Noted {
    if data.lease.as_ref().is_some_and(|known| known.version >= news.version) || data.lease_end().is_some() {
        return Noted::Old;
    }
    let leaving = data.is_leaving();
    data.lease = Some(news.clone());
    match news.state {
        LeaseState::Opening | LeaseState::Active if leaving => Noted::AskAgain,
        LeaseState::Opening | LeaseState::Active | LeaseState::Closing | LeaseState::Settling | LeaseState::Closed(_) => {
            Noted::New
        }
    }
}

fn reset_answered(data: &mut Data, answer: &ResetAnswer) -> Noted {
    match (answer, data.reset) {
        (ResetAnswer::NotOut, _)
        | (ResetAnswer::Gone, Reset::Done)
        | (ResetAnswer::PersonNeeded { .. }, Reset::Done | Reset::PersonNeeded | Reset::PersonTold) => Noted::Old,
        (ResetAnswer::Gone, _) => {
            data.reset = Reset::Done;
            Noted::New
        }
        (ResetAnswer::PersonNeeded { page, .. }, Reset::Unanswered) => {
            data.reset_page = Some(page.clone());
            data.reset = Reset::PersonNeeded;
            // The question is now another: tell the person.
            Noted::AskAgain
        }
        (ResetAnswer::PersonNeeded { .. }, Reset::Confirmed) => {
            data.reset_confirmed_at = None;
            data.reset = Reset::PersonTold;
            Noted::New
        }
    }
}

/// A word only asks for a read, so it asks each time that somebody gives it before the answer is known.
fn reset_confirmed(data: &mut Data, now: Timestamp) -> Noted {
    if !data.was_out() || data.absent_at.is_some() || data.is_leaving() {
        return Noted::Old;
    }
    match data.reset {
        Reset::Done => {}
        Reset::Unanswered | Reset::PersonNeeded | Reset::PersonTold | Reset::Confirmed => {
            data.reset_confirmed_at.get_or_insert(now);
            data.reset = Reset::Confirmed;
        }
    }
    Noted::AskAgain
}

fn noticed(data: &mut Data, notice: Notice, to: &Recipient, delivery: Delivery) -> Noted {
    match notice {
        Notice::Invitation if data.invitation.is_none() => {
            data.invitation = Some(delivery);
            Noted::New
        }
        Notice::ResetNeeded if data.reset == Reset::PersonNeeded => {
            data.reset = Reset::PersonTold;
            Noted::New
        }
        Notice::Closed if data.told.insert(to.clone()) => Noted::New,
        Notice::Invitation
        | Notice::ResetNeeded
        | Notice::Closed
        | Notice::Requested
        | Notice::ApprovalNeeded
        | Notice::Reminder => Noted::Old,
    }
}
