//! What was opened in the window is ended where that is possible, and said plainly where it is not.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;

use super::{done_if, until_answered};
use crate::saga::RecoverySaga;
use crate::saga::command::Command;
use crate::saga::data::Data;
use crate::saga::outcome::Reason;

/// Waits until policy has cleaned up. There is no window where the account never went out.
pub(in crate::saga) struct Clean;

impl Step<RecoverySaga> for Clean {
    fn name(&self) -> &'static str {
        "clean"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        vec![Command::CleanWindow]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        done_if(data.cleaned || !data.was_opened())
    }

    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        until_answered(data)
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("forward-only: what was revoked stays revoked")
    }
}
