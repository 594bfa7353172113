//! What the provider's answers prove, in the lease's words.

use std::collections::HashMap;
use std::time::Duration;

use homeward_provider::{ErrorClass, MoveAccepted, MoveAnswer, ProviderError, TaskReport};
use homeward_types::{AccountId, Email, Timestamp};

use crate::lease::store::Receipt;
use crate::lease::{Answer, Event, Kind};
use crate::ledger::Happened;
use crate::site::Site;

/// An attempt that was written, or was about to be.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) lease: homeward_types::LeaseId,
    pub(super) number: u32,
    pub(super) account: AccountId,
}

/// What a move's answer proves about one attempt.
pub fn of_move(answer: &Result<MoveAccepted, ProviderError>) -> Answer {
    match answer {
        Ok(MoveAccepted::Task(_) | MoveAccepted::Applied) => Answer::Accepted,
        Err(error) if !error.proves_not_taken() => Answer::Unknown { detail: error.to_string() },
        Err(error) => match error.class {
            ErrorClass::Retry { after } => Answer::Refused { retry_after: after, detail: error.to_string() },
            ErrorClass::Ambiguous => Answer::Refused { retry_after: Duration::ZERO, detail: error.to_string() },
            ErrorClass::PermanentForAccount | ErrorClass::PermanentForPolicy | ErrorClass::PermanentForOrganisation => {
                Answer::Impossible { detail: error.to_string() }
            }
        },
    }
}

/// Everything that the answers to one move lead to. An attempt that no answer names may have happened.
pub(super) fn happened(site: &Site, kind: Kind, written: &[Written], answers: &[MoveAnswer], now: Timestamp) -> Vec<Happened> {
    let mut by_account: HashMap<&AccountId, &Result<MoveAccepted, ProviderError>> = HashMap::new();
    for answer in answers {
        by_account.extend(answer.accounts.iter().map(|account| (account, &answer.answer)));
    }
    let mut happened = Vec::new();
    for attempt in written {
        let answer = by_account.get(&attempt.account).copied();
        let proved = answer.map_or_else(|| Answer::Unknown { detail: "the provider's answer does not name it".into() }, of_move);
        let task = match answer {
            Some(Ok(MoveAccepted::Task(task))) => Some(task.as_str().to_owned()),
            Some(Ok(MoveAccepted::Applied) | Err(_)) | None => None,
        };
        let home_refused = kind == Kind::Return && answer.is_some_and(refuses_policy);
        happened.push(answered(attempt, proved, task, now));
        if home_refused {
            let default_home = site.organisation().default_home.clone();
            happened.push(Happened::by_policy(attempt.lease, Event::HomeLost { default_home }));
        }
    }
    happened
}

fn refuses_policy(answer: &Result<MoveAccepted, ProviderError>) -> bool {
    answer.as_ref().is_err_and(|error| error.proves_not_taken() && error.class == ErrorClass::PermanentForPolicy)
}

/// One answer, with what is kept of it.
pub(super) fn answered(attempt: &Written, answer: Answer, task: Option<String>, now: Timestamp) -> Happened {
    let detail = match &answer {
        Answer::Accepted => None,
        Answer::Refused { detail, .. } | Answer::Impossible { detail } | Answer::Unknown { detail } => Some(detail.clone()),
    };
    let receipt = Receipt { answered_at: now, task, detail };
    let event = Event::AttemptAnswered { number: attempt.number, answer };
    Happened { receipt: Some(receipt), ..Happened::by_policy(attempt.lease, event) }
}

/// The name of an answer, for the instruments.
pub(super) fn name(event: &Event) -> Option<&'static str> {
    let Event::AttemptAnswered { answer, .. } = event else { return None };
    Some(match answer {
        Answer::Accepted => "accepted",
        Answer::Refused { .. } => "refused",
        Answer::Impossible { .. } => "impossible",
        Answer::Unknown { .. } => "unknown",
    })
}

/// A finished task that names the address among its failures did not, and will not, move it.
pub(super) fn failed_in_task(report: &TaskReport, address: &Email) -> Option<Answer> {
    let failure = report.failures.iter().find(|failure| failure.email == *address && !report.running)?;
    let detail = format!("{} {}", failure.reason.title, failure.reason.detail).trim().to_owned();
    Some(Answer::Refused { retry_after: Duration::ZERO, detail })
}

#[cfg(test)]
mod tests {
    use homeward_provider::{FailureReason, TaskFailure, TaskId};

    use super::*;

    fn error(class: ErrorClass, proved: bool) -> Result<MoveAccepted, ProviderError> {
        let error = ProviderError::new("POST add-users", class, None, "no");
        Err(if proved { error.not_taken() } else { error })
    }

    #[test]
    fn only_a_proof_makes_an_attempt_not_taken() {
        let after = Duration::from_secs(7);
        let classes = [
            ErrorClass::Retry { after },
            ErrorClass::PermanentForAccount,
            ErrorClass::PermanentForPolicy,
            ErrorClass::PermanentForOrganisation,
            ErrorClass::Ambiguous,
        ];
        for class in classes {
            assert!(matches!(of_move(&error(class, false)), Answer::Unknown { .. }), "{class:?}");
            assert!(matches!(of_move(&error(class, true)), Answer::Refused { .. } | Answer::Impossible { .. }), "{class:?}");
        }
        assert_eq!(of_move(&Ok(MoveAccepted::Applied)), Answer::Accepted);
        assert_eq!(of_move(&Ok(MoveAccepted::Task(TaskId::new("7")))), Answer::Accepted);
    }

    #[test]
    fn a_running_task_and_another_address_prove_nothing() {
        let failure = |email: &str| TaskFailure { email: email.parse().unwrap(), reason: FailureReason::default() };
        let report = |running| TaskReport { running, succeeded: 1, failed: 1, failures: vec![failure("a@example.com")] };
        let (a, b) = ("a@example.com".parse().unwrap(), "b@example.com".parse().unwrap());
        assert_eq!(failed_in_task(&report(true), &a), None);
        assert_eq!(failed_in_task(&report(false), &b), None);
        assert!(failed_in_task(&report(false), &a).is_some());
    }
}
