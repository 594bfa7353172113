//! Permits policy to open the lease and asks for it. Over when the account was seen out.
//!
//! From here on a lease may exist, so every way out leads through the return.

use homeward_saga::{Compensation, Schedule, Step, Verdict};
use homeward_types::Timestamp;
use homeward_types::limits::after;

use super::until_answered;
use crate::saga::RecoverySaga;
use crate::saga::command::Command;
use crate::saga::data::{Data, LeaseState};
use crate::saga::outcome::Reason;

/// Waits until the account was seen out.
pub(in crate::saga) struct Lend;

impl Step<RecoverySaga> for Lend {
    fn name(&self) -> &'static str {
        "lend"
    }

    fn commands(&self, _data: &Data) -> Vec<Command> {
        vec![Command::Lend]
    }

    fn verdict(&self, data: &Data) -> Verdict<Reason> {
        let refusal = data.lease.as_ref().and_then(|lease| lease.refusal);
        match data.lease_state() {
            None | Some(LeaseState::Opening) => Verdict::Stay,
            Some(LeaseState::Active) => Verdict::Done,
            Some(LeaseState::Closing | LeaseState::Settling | LeaseState::Closed(_)) => {
                Verdict::Fail(refusal.map_or(Reason::EndedByPolicy, Reason::Refused))
            }
        }
    }

    /// Without a word from policy: a little longer than the lend could still be sent. With one: until the lease is due.
    fn schedule(&self, data: &Data, _entered_at: Timestamp) -> Schedule {
        let unanswered = || data.not_after().map(|at| after(at, data.terms.re_ask_max.duration()));
        Schedule { deadline: data.due_at().or_else(unanswered), ..until_answered(data) }
    }

    fn compensation(&self, _data: &Data) -> Compensation<Command> {
        Compensation::Nothing("a lend is undone by the return, which guards this step")
    }
}
