//! The requester attaches proof that the person asking is the account's owner; kinds and number by tier.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;
use homeward_types::limits::after;

use super::done_if;
use crate::saga::RecoverySaga;
use crate::saga::command::Command;
use crate::saga::data::Data;
use crate::saga::outcome::Reason;

/// Waits for proof.
pub(in crate::saga) struct Prove;

impl Step<RecoverySaga> for Prove {
    fn name(&self) -> &'static str {
        "prove"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        Vec::new()
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        done_if(data.is_proved())
    }

    fn schedule(&self, data: &Data, entered_at: Timestamp) -> Schedule {
        Schedule { deadline: Some(after(entered_at, data.terms.approval.duration())), ..Schedule::default() }
    }

    fn done(&self, _data: &Data) -> Vec<Command> {
        vec![Command::AskApprovers]
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("proof stays with the case as evidence, and stops counting by its age")
    }
}
