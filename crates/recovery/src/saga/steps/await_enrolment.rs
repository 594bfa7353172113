//! Waits for evidence that the user set up a new factor. A word is no evidence; it only asks for a read.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;

use super::{done_if, until_due, while_out};
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice};
use crate::saga::data::{Data, Recipient};
use crate::saga::outcome::Reason;

/// Waits for evidence of enrolment.
pub(in crate::saga) struct AwaitEnrolment;

impl Step<RecoverySaga> for AwaitEnrolment {
    fn name(&self) -> &'static str {
        "await-enrolment"
    }

    /// Directory reports again what it knows already, so asking again mends a lost event.
    fn commands(&self, _data: &Data) -> Vec<Command> {
        vec![Command::Watch]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        while_out(data, || done_if(data.enrolled_at.is_some()))
    }

    /// Reminds once, at half the time between going out and being due.
    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        let lease = data.lease.as_ref();
        let half = lease.and_then(|lease| Some((lease.out_at?, lease.due_at?))).map(|(out, due)| out + (due - out) / 2);
        Schedule { reminders: half.into_iter().collect(), ..until_due(data) }
    }

    fn reminder(&self, _data: &Data, _n: usize) -> Vec<Command> {
        vec![Command::Tell(Notice::Reminder, Recipient::Owner)]
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("it only waits")
    }
}
