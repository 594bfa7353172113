//! The user is told how to sign in and set up a new factor.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;

use super::{done_if, until_due, while_out};
use crate::saga::RecoverySaga;
use crate::saga::command::{Command, Notice};
use crate::saga::data::{Data, Recipient};
use crate::saga::outcome::Reason;

/// Waits until the invitation was taken by a mail server. One that failed is an incident, and the recovery goes on:
/// the help desk is on the phone with the user.
pub(in crate::saga) struct Invite;

impl Step<RecoverySaga> for Invite {
    fn name(&self) -> &'static str {
        "invite"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        vec![Command::Tell(Notice::Invitation, Recipient::Owner)]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        while_out(data, || done_if(data.invitation.is_some() || data.enrolled_at.is_some()))
    }

    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        until_due(data)
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("a mail cannot be unsent; the closing mail says how it ended")
    }
}
