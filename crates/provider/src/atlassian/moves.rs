//! Moving accounts: `add-users` in batches, and the task that it answers with.

use homeward_types::{AccountId, Email};
use serde_json::{Value, json};

use super::AtlassianProvider;
use super::client::{Call, Failed};
use super::fault::tame;
use super::json::{list, number, text};
use super::paths::{ADD_USERS, TASK};
use crate::batch::Bisection;
use crate::error::ProviderError;
use crate::moving::{FailureReason, MoveAccepted, MoveAnswer, MoveOrder, TaskFailure, TaskId, TaskReport};
use crate::priority::Priority;

impl AtlassianProvider {
    pub(super) async fn order(&self, order: MoveOrder<'_>) -> Vec<MoveAnswer> {
        let mut work = Bisection::new(order.who.len(), &self.move_batch);
        let mut answers = Vec::new();
        while let Some(range) = work.next_part() {
            let part = &order.who[range.clone()];
            match self.add_users(&order, part).await {
                Ok(task) => {
                    work.taken(&range);
                    answers.push(answer(part, Ok(MoveAccepted::Task(task))));
                }
                Err(failed) if failed.refuses_the_batch() => {
                    if !work.refused(&range) {
                        answers.push(answer(part, Err(failed.error.clone())));
                    }
                    if work.hopeless() {
                        let unsent =
                            refused_like(&failed.error, "not sent alone: all addresses before it were refused one by one");
                        answers.extend(work.give_up().into_iter().map(|rest| answer(&order.who[rest], Err(unsent.clone()))));
                    }
                }
                Err(failed) => {
                    // The same would happen to the rest; to send nothing more proves most.
                    let unsent = refused_like(&failed.error, "not sent: a call before it failed");
                    answers.push(answer(part, Err(failed.error)));
                    answers.extend(work.give_up().into_iter().map(|rest| answer(&order.who[rest], Err(unsent.clone()))));
                }
            }
        }
        answers
    }

    async fn add_users(&self, order: &MoveOrder<'_>, part: &[(AccountId, Email)]) -> Result<TaskId, Failed> {
        let emails: Vec<&str> = part.iter().map(|(_, email)| email.as_str()).collect();
        let path = [("policyId", order.to.as_str())];
        let call =
            Call::new(&ADD_USERS, order.priority).path(&path).body(json!({"users": emails})).send_before(order.send_before);
        self.client.send(call).await?.parse(parse_task_id)
    }

    pub(super) async fn task(&self, task: &TaskId, priority: Priority) -> Result<Option<TaskReport>, Failed> {
        let path = [("taskId", task.as_str())];
        match self.client.send(Call::new(&TASK, priority).path(&path)).await {
            Ok(answer) => answer.parse(parse_task).map(Some),
            Err(failed) if failed.says_missing() => Ok(None),
            Err(failed) => Err(failed),
        }
    }
}

fn answer(part: &[(AccountId, Email)], answer: Result<MoveAccepted, ProviderError>) -> MoveAnswer {
    MoveAnswer { accounts: part.iter().map(|(account, _)| account.clone()).collect(), answer }
}

/// The error of those that were not sent because of `cause`: what to do is the same, and nothing happened to them. What was
/// ambiguous for the sent ones may simply be tried again for these.
pub(super) fn refused_like(cause: &ProviderError, why: &str) -> ProviderError {
    use crate::error::ErrorClass::{Ambiguous, PermanentForAccount, PermanentForOrganisation, PermanentForPolicy, Retry};
    let class = match cause.class {
        Ambiguous => Retry { after: std::time::Duration::ZERO },
        PermanentForAccount => PermanentForOrganisation,
        class @ (Retry { .. } | PermanentForPolicy | PermanentForOrganisation) => class,
    };
    ProviderError::new(cause.call, class, cause.status, format!("{why} ({})", cause.sentence))
        .because(crate::reason::Reason::NotSent)
        .not_taken()
}

/// An accepted move names its task. Without one nobody could follow it, so that is no answer.
pub(super) fn parse_task_id(body: &Value) -> Result<TaskId, String> {
    const LONGEST: usize = 256;
    let task = text(body, "taskId").filter(|task| task.len() <= LONGEST && !task.chars().any(char::is_control));
    task.map(TaskId::new).ok_or_else(|| "the move was accepted, but no task was named".into())
}

/// There is no state: a task is running while anything is in progress, or while nothing is counted yet (1.2).
pub(super) fn parse_task(body: &Value) -> Result<TaskReport, String> {
    if !body.is_object() {
        return Err("the answer is not a task".into());
    }
    let count = |key| number(body, key).unwrap_or(0);
    let (in_progress, succeeded, failed) = (count("inProgressCount"), count("successCount"), count("failureCount"));
    let failures: Vec<TaskFailure> = list(body, "failureReasons").iter().flat_map(failures).collect();
    let named = u64::try_from(failures.len()).unwrap_or(u64::MAX);
    let running = in_progress > 0 || (succeeded == 0 && failed == 0 && named == 0);
    Ok(TaskReport { running, succeeded, failed: failed.max(named), failures })
}

/// One reason stands for many addresses.
fn failures(reason: &Value) -> Vec<TaskFailure> {
    let details = reason.get("details").unwrap_or(&Value::Null);
    let words = |key| text(details, key).map(tame).unwrap_or_default();
    let status = number(details, "status").and_then(|status| u16::try_from(status).ok());
    let told = FailureReason { status, title: words("title"), detail: words("detail") };
    let emails = list(reason, "emails").iter().filter_map(|email| email.as_str()?.parse().ok());
    emails.map(|email| TaskFailure { email, reason: told.clone() }).collect()
}
