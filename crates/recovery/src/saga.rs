//! The recovery, top to bottom like the procedure.

pub mod command;
pub mod data;
pub mod input;
pub mod lease;
mod note;
pub mod outcome;
pub mod rehearsal;
mod steps;
pub mod terms;
#[cfg(test)]
pub(crate) mod tests;
pub mod words;

use homeward_saga::{Definition, Noted, Saga};
use homeward_types::Timestamp;

use command::Command;
use data::{Data, Leave};
use input::Input;
use outcome::Reason;
use steps::{Approve, AwaitEnrolment, Clean, Close, Invite, Lend, Prove, ResetFactor, Return, TakeSlot};

/// One account lent, helped and returned.
pub struct RecoverySaga {
    definition: Definition<Self>,
}

impl RecoverySaga {
    /// The procedure.
    pub fn new() -> Self {
        let definition = Definition::new()
            .step(Prove)
            .step(Approve)
            .step(TakeSlot)
            .guarded_by("return") // from here every way out leads through the return
            .step(Lend)
            .step(ResetFactor)
            .step(Invite)
            .step(AwaitEnrolment)
            .step(Return)
            .step(Clean)
            .step(Close);
        Self { definition }
    }
}

impl Default for RecoverySaga {
    fn default() -> Self {
        Self::new()
    }
}

impl Saga for RecoverySaga {
    const NAME: &'static str = "recovery";
    const VERSION: u32 = 1;

    type Data = Data;
    type Input = Input;
    type Command = Command;
    type Reason = Reason;

    fn definition(&self) -> &Definition<Self> {
        &self.definition
    }

    fn note(&self, data: &mut Data, input: &Input, now: Timestamp) -> Noted {
        note::note(data, input, now)
    }

    /// A lease that nobody here granted belongs to a case that was restored to an older state.
    fn way_out(&self, data: &Data) -> Option<Reason> {
        if data.repudiated_at.is_some() {
            return Some(Reason::Repudiated);
        }
        if data.lease.is_some() && data.granted_at.is_none() {
            return Some(Reason::CaseLost);
        }
        data.leave.as_ref().map(|leave| match leave {
            Leave::Denied(_) => Reason::Denied,
            Leave::Cancelled(_) => Reason::Cancelled,
            Leave::ReturnNow(_) => Reason::Asked,
            Leave::CaseLost => Reason::CaseLost,
        })
    }

    fn needs_guard(&self, data: &Data) -> bool {
        data.is_lease_open()
    }

    fn failed(&self, data: &mut Data, _step: &'static str, reason: Reason) {
        data.failure.get_or_insert(reason);
    }

    fn too_late(&self, step: &'static str) -> Reason {
        match step {
            "prove" => Reason::NoProof,
            "approve" => Reason::NoApproval,
            "take-slot" => Reason::NoSlot,
            "lend" => Reason::NoAnswer,
            _ => Reason::Due,
        }
    }
}
