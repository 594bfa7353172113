//! The account comes home. The last forward step and the only way out since the lend; never given up.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;

use super::{done_if, until_answered};
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, ReturnReason};
use crate::saga::data::Data;
use crate::saga::outcome::Reason;

/// Asks until policy says that the lease is closed.
pub(in crate::saga) struct Return;

impl Step<RecoverySaga> for Return {
    fn name(&self) -> &'static str {
        "return"
    }

    fn commands(&self, data: &Data) -> Vec<Command> {
        vec![Command::Return(reason(data))]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        done_if(data.lease_end().is_some())
    }

    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        until_answered(data)
    }

    fn done(&self, data: &Data) -> Vec<Command> {
        let mut commands = vec![Command::GiveSlotBack];
        if data.was_out() {
            commands.push(Command::Unwatch);
        }
        commands
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("forward-only: an account that came home stays there")
    }
}

/// Why the account is brought home.
fn reason(data: &Data) -> ReturnReason {
    if data.repudiated_at.is_some() {
        return ReturnReason::Repudiated;
    }
    match data.failure {
        None => ReturnReason::Enrolled,
        Some(Reason::Cancelled) => ReturnReason::Cancelled,
        Some(Reason::Asked) => ReturnReason::Asked,
        Some(Reason::Due | Reason::EndedByPolicy) => ReturnReason::Due,
        Some(Reason::Repudiated) => ReturnReason::Repudiated,
        Some(
            Reason::NoProof
            | Reason::NoApproval
            | Reason::NoSlot
            | Reason::ProofLapsed
            | Reason::Denied
            | Reason::Refused(_)
            | Reason::NoAnswer
            | Reason::CaseLost,
        ) => ReturnReason::Failed,
    }
}
