//! Everyone is told how it ended, the owner at every end.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;

use super::{done_if, until_answered};
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice};
use crate::saga::data::{Data, Recipient};
use crate::saga::outcome::Reason;

/// Waits until every closing notice was taken by a server, or given up (which is an incident).
pub(in crate::saga) struct Close;

impl Step<RecoverySaga> for Close {
    fn name(&self) -> &'static str {
        "close"
    }

    fn commands(&self, data: &Data) -> Vec<Command> {
        untold(data).map(|to| Command::Tell(Notice::Closed, to)).collect()
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        done_if(untold(data).next().is_none())
    }

    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        until_answered(data)
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("a mail cannot be unsent")
    }
}

fn untold(data: &Data) -> impl Iterator<Item = Recipient> {
    data.audience().filter(|to| !data.told.contains(to))
}
