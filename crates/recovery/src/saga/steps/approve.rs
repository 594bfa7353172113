//! Persons other than requester and subject approve; how many by tier. One denial ends it.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;
use homeward_types::limits::after;

use super::{done_if, while_proved};
use crate::saga::RecoverySaga;
use crate::saga::command::Command;
use crate::saga::data::Data;
use crate::saga::outcome::Reason;

/// Waits for the quorum.
pub(in crate::saga) struct Approve;

impl Step<RecoverySaga> for Approve {
    fn name(&self) -> &'static str {
        "approve"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        Vec::new()
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        done_if(data.is_approved())
    }

    fn schedule(&self, data: &Data, entered_at: Timestamp) -> Schedule {
        let deadline = while_proved(data, after(entered_at, data.terms.approval.duration()));
        Schedule { deadline: Some(deadline), ..Schedule::default() }
    }

    fn compensation(&self, data: &Data) -> Compensation<Command> {
        if data.votes.is_empty() {
            return Compensation::Nothing("nobody had voted");
        }
        Compensation::Command(Command::WithdrawVotes)
    }
}
