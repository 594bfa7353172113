//! The old factor goes, where there was one. Over when directory read the factor as absent: the baseline of enrolment.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::{Factor, Timestamp};

use super::{done_if, until_due, while_out};
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice};
use crate::saga::data::{Data, Recipient, Reset};
use crate::saga::outcome::Reason;

/// Waits for the baseline.
pub(in crate::saga) struct ResetFactor;

impl Step<RecoverySaga> for ResetFactor {
    fn name(&self) -> &'static str {
        "reset-factor"
    }

    /// Directory watches in any case. Whether to reset is decided from the factor that policy read at the lend.
    fn commands(&self, data: &Data) -> Vec<Command> {
        let mut commands = vec![Command::Watch];
        if factor(data) == Factor::Absent {
            return commands;
        }
        match data.reset {
            Reset::Unanswered | Reset::Confirmed => commands.push(Command::ResetFactor),
            Reset::PersonNeeded => {
                commands.push(Command::Tell(Notice::ResetNeeded, Recipient::Person(data.requester.clone())));
            }
            Reset::PersonTold | Reset::Done => {}
        }
        commands
    }

    /// Where the factor cannot be read, the confirmed human step must do; it proves nothing about enrolment.
    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        let unreadable = factor(data) == Factor::Unknown && matches!(data.reset, Reset::Confirmed | Reset::Done);
        while_out(data, || done_if(data.absent_at.is_some() || data.enrolled_at.is_some() || unreadable))
    }

    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        until_due(data)
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("a factor that was lost is not wanted back")
    }
}

fn factor(data: &Data) -> Factor {
    data.lease.as_ref().and_then(|lease| lease.factor).unwrap_or(Factor::Unknown)
}
