//! What a recovery does next, by whom and until when, in a sentence.

use homeward_saga::{Progress, Saga};
use homeward_types::Timestamp;

use super::RecoverySaga;
use super::data::{Data, Reset};

/// The steps' names as constants of the program, for where a step must outlive the row that it was read from.
const STEPS: [&str; 10] =
    ["prove", "approve", "take-slot", "lend", "reset-factor", "invite", "await-enrolment", "return", "clean", "close"];

/// The step's name; `closed` after the last.
pub fn step_name(step: Option<&str>) -> &'static str {
    step.and_then(|step| STEPS.into_iter().find(|name| *name == step)).unwrap_or("closed")
}

/// A moment as people read it.
pub fn moment(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What happens next; empty when the recovery is closed.
pub fn next(saga: &RecoverySaga, progress: &Progress<Data>) -> String {
    let data = &progress.data;
    let until = deadline(saga, progress).map(|at| format!(" until {}", moment(at))).unwrap_or_default();
    match step_name(progress.step.as_deref()) {
        "prove" => {
            let missing = data.terms.proofs.saturating_sub(data.proofs.len());
            format!("{} attaches {}{until}.", data.requester, many(missing, "proof", "proofs of different kinds"))
        }
        "approve" => {
            let missing = data.terms.approvers.saturating_sub(data.approvers().count());
            format!("{} or deny{until}; never {} or the account's owner.", many_act(missing), data.requester)
        }
        "take-slot" => format!("Waits in the line for a place under the exposure cap{until}."),
        "lend" => format!("Policy opens the lease and moves the account{until}."),
        "reset-factor" => format!("{}{until}.", reset(data)),
        "invite" => "The account's owner is told how to sign in and set up a new factor.".into(),
        "await-enrolment" => format!("The owner signs in and sets up a new factor{until}; then the account comes home."),
        "return" => "Policy brings the account home; this is never given up.".into(),
        "clean" => "What was opened while the account was out is ended.".into(),
        "close" => "Everyone who took part is told how it ended.".into(),
        _ => String::new(),
    }
}

fn reset(data: &Data) -> String {
    match (&data.reset_page, data.reset) {
        (Some(page), Reset::PersonNeeded | Reset::PersonTold) => {
            format!("{} removes the old factor at {page} and confirms it", data.requester)
        }
        (_, Reset::Unanswered | Reset::PersonNeeded | Reset::PersonTold | Reset::Confirmed | Reset::Done) => {
            "The old factor goes, and directory reads that it is absent".into()
        }
    }
}

/// When the present step is given up, if it ever is.
fn deadline(saga: &RecoverySaga, progress: &Progress<Data>) -> Option<Timestamp> {
    let definition = saga.definition();
    let position = definition.position(progress.step.as_deref()?)?;
    let schedule = definition.steps()[position].schedule(&progress.data, progress.entered_at);
    schedule.deadline.filter(|_| definition.may_fail(position))
}

fn many(count: usize, one: &str, more: &str) -> String {
    if count == 1 { format!("1 more {one}") } else { format!("{count} more {more}") }
}

fn many_act(count: usize) -> String {
    if count == 1 { "1 more person must approve".into() } else { format!("{count} more persons must approve") }
}
