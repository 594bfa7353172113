//! Takes a place under the exposure cap, or waits for one in order. The place taken is the moment of the grant.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;
use homeward_types::limits::after;

use super::{until_answered, while_proved};
use crate::saga::RecoverySaga;
use crate::saga::command::Command;
use crate::saga::data::Data;
use crate::saga::outcome::Reason;

/// Waits for a place.
pub(in crate::saga) struct TakeSlot;

impl Step<RecoverySaga> for TakeSlot {
    fn name(&self) -> &'static str {
        "take-slot"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        vec![Command::TakeSlot]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        match data.granted_at {
            None => Verdict::Stay,
            Some(at) if data.is_proved_at(at) => Verdict::Done,
            Some(_) => Verdict::Fail(Reason::ProofLapsed),
        }
    }

    fn schedule(&self, data: &Data, entered_at: Timestamp) -> Schedule {
        let deadline = while_proved(data, after(entered_at, data.terms.slot_wait.duration()));
        Schedule { deadline: Some(deadline), ..until_answered(data) }
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Command(Command::GiveSlotBack)
    }
}
