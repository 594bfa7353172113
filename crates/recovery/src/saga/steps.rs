//! The steps of a recovery, one file each, in the order of the procedure.

mod approve;
mod await_enrolment;
mod clean;
mod close;
mod invite;
mod lend;
mod prove;
mod reset_factor;
mod return_home;
mod take_slot;

pub(super) use approve::Approve;
pub(super) use await_enrolment::AwaitEnrolment;
pub(super) use clean::Clean;
pub(super) use close::Close;
pub(super) use invite::Invite;
pub(super) use lend::Lend;
pub(super) use prove::Prove;
pub(super) use reset_factor::ResetFactor;
pub(super) use return_home::Return;
pub(super) use take_slot::TakeSlot;

use homeward_saga::{ReAsk, Schedule, Verdict};
use homeward_types::Timestamp;

use super::data::{Data, LeaseState};
use super::outcome::Reason;

/// Asking again, without a deadline.
fn until_answered(data: &Data) -> Schedule {
    let re_ask = ReAsk { first: data.terms.re_ask.duration(), longest: data.terms.re_ask_max.duration() };
    Schedule { re_ask: Some(re_ask), ..Schedule::default() }
}

/// Asking again until the lease is due. Policy ends it then by itself too; whoever is first.
fn until_due(data: &Data) -> Schedule {
    Schedule { deadline: data.due_at(), ..until_answered(data) }
}

/// The earlier of `deadline` and the moment when too little proof counts.
fn while_proved(data: &Data, deadline: Timestamp) -> Timestamp {
    data.proved_until().map_or(deadline, |until| until.min(deadline))
}

/// What every step of the time out comes to when policy ends the lease; otherwise `go_on`.
fn while_out(data: &Data, go_on: impl FnOnce() -> Verdict<Reason>) -> Verdict<Reason> {
    match data.lease_state() {
        Some(LeaseState::Closing | LeaseState::Settling | LeaseState::Closed(_)) => Verdict::Fail(Reason::EndedByPolicy),
        Some(LeaseState::Opening | LeaseState::Active) | None => go_on(),
    }
}

/// `Done` or `Stay`.
fn done_if(over: bool) -> Verdict<Reason> {
    if over { Verdict::Done } else { Verdict::Stay }
}
