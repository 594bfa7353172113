//! Why something that somebody wanted was not done, and what to do next.

use homeward_chassis::error_chain;
use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::Problem;
use homeward_saga::{Handled, Progress, Refusal, SubmitError};
use homeward_store::StoreError;
use homeward_types::{PersonId, ProofKind, RecoveryId};

use crate::saga::RecoverySaga;
use crate::saga::data::Data;
use crate::saga::words::{moment, step_name};
use crate::timeline::proof_name;

/// A refusal as a bulk call's item carries it.
pub(super) fn problem(refused: Refused) -> Problem {
    Problem { reason: refused.reason.into_owned(), message: refused.message, remedy: refused.remedy }
}

/// The coordinator did not take it.
pub(super) fn not_submitted(error: &SubmitError) -> Refused {
    let message = match error {
        SubmitError::Stopped => "recovery is stopping",
        SubmitError::Unavailable(_) => "recovery's database does not answer",
    };
    Refused::unavailable("RECOVERY_UNAVAILABLE", message, "try again in a moment; repeating it is safe")
}

/// The database was not read: it is away for a moment, or something is wrong with what it holds.
pub(super) fn unread(error: &StoreError) -> Refused {
    if error.is_infrastructure() {
        tracing::warn!(error = error_chain(error), "a call could not be answered: the database is in trouble");
        return Refused::unavailable("RECOVERY_UNAVAILABLE", "recovery's database does not answer", "try again in a moment");
    }
    Refused::internal(error)
}

/// There is no such case.
pub(super) fn unknown(id: RecoveryId) -> Refused {
    Refused::not_found("RECOVERY_UNKNOWN", format!("there is no recovery {id}"), "look for it with `homeward list`")
}

/// What a handled arrival says of itself: whether it was news, and where the saga is.
pub(super) fn progress_of(
    id: RecoveryId,
    handled: Handled<RecoverySaga>,
) -> Result<(bool, std::sync::Arc<Progress<Data>>), Refused> {
    match handled {
        Handled::Done { changed, progress } => Ok((changed, progress)),
        Handled::Missing => Err(unknown(id)),
        Handled::Unknown(unknown) => Err(Refused::precondition(
            "RECOVERY_OF_ANOTHER_VERSION",
            format!("{unknown}"),
            "an operator must run the version of Homeward that began it until it is closed",
        )),
        Handled::Refused(refusal) => Err(internal(&refusal)),
    }
}

fn internal(refusal: &Refusal) -> Refused {
    Refused::internal(refusal)
}

/// The recovery is closed, or on its way there.
fn over(id: RecoveryId, progress: &Progress<Data>) -> Refused {
    let step = step_name(progress.step.as_deref());
    let message = if progress.is_closed() { format!("{id} is closed") } else { format!("{id} is ending already (at {step})") };
    Refused::precondition("ALREADY_ENDING", message, format!("see how it ended with `homeward show {id}`"))
}

/// Permission to lend was given; what led to it cannot change any more.
fn granted(id: RecoveryId) -> Refused {
    Refused::precondition(
        "ALREADY_GRANTED",
        format!("{id} has its approvals, and the account is being lent"),
        format!("to end it, use `homeward cancel {id}`: the account comes home at once"),
    )
}

/// Why proof was no news.
pub(super) fn proof_not_taken(id: RecoveryId, kind: ProofKind, progress: &Progress<Data>) -> Refused {
    let data = &progress.data;
    if data.failure.is_some() || progress.is_closed() {
        return over(id, progress);
    }
    if data.granted_at.is_some() {
        return granted(id);
    }
    if !data.terms.takes(kind) {
        let kinds: Vec<_> = data.terms.kinds.iter().map(|kind| proof_name(*kind)).collect();
        return Refused::precondition(
            "PROOF_KIND_NOT_TAKEN",
            format!("{} is no proof for this account", proof_name(kind)),
            format!("attach one of: {}", kinds.join("; ")),
        );
    }
    let at = data.proofs.get(&kind).map(|at| format!(" on {}", moment(*at))).unwrap_or_default();
    Refused::exists(
        "PROOF_ALREADY_ATTACHED",
        format!("{} was attached already{at}; two of one kind count as one", proof_name(kind)),
        "if more proof is needed, attach another kind",
    )
}

/// Why a vote was no news.
pub(super) fn vote_not_taken(id: RecoveryId, by: &PersonId, progress: &Progress<Data>) -> Refused {
    let data = &progress.data;
    if data.votes.iter().any(|vote| vote.by == *by) {
        return Refused::exists(
            "ALREADY_VOTED",
            "you have voted on this recovery already",
            "another person must vote, if more votes are needed",
        );
    }
    if data.failure.is_some() || progress.is_closed() {
        return over(id, progress);
    }
    if data.granted_at.is_some() {
        return granted(id);
    }
    Refused::precondition(
        "NOT_PROVED",
        format!("{id} has not enough proof yet, so there is nothing to judge"),
        format!("wait until {} has attached it", data.requester),
    )
}

/// A cancel or return that was no news: fine while it is ending anyway, and too late after the end.
pub(super) fn ending_anyway(id: RecoveryId, progress: &Progress<Data>) -> Result<(), Refused> {
    if progress.is_closed() { Err(over(id, progress)) } else { Ok(()) }
}

/// Nothing was lent, so nothing can be returned.
pub(super) fn nothing_lent(id: RecoveryId) -> Refused {
    Refused::precondition(
        "NOT_LENT",
        format!("the account of {id} was not lent"),
        format!("to end it, use `homeward cancel {id}`"),
    )
}

/// A word about the old factor when nothing waits for one.
pub(super) fn reset_not_awaited(id: RecoveryId, progress: &Progress<Data>) -> Result<(), Refused> {
    let data = &progress.data;
    if data.absent_at.is_some() && !progress.is_closed() {
        return Ok(());
    }
    if data.is_leaving() {
        return Err(over(id, progress));
    }
    Err(Refused::precondition(
        "NOT_OUT",
        format!("the account of {id} was not seen in the recovery policy yet"),
        "remove the old factor when you are asked to, then confirm",
    ))
}

/// Only the requester attaches proof.
pub(super) fn not_the_requester(id: RecoveryId, requester: &PersonId) -> Refused {
    Refused::denied(
        "NOT_THE_REQUESTER",
        format!("only {requester}, who asked for {id}, attaches proof to it"),
        "give the proof to them",
    )
}

/// Nobody decides on what they asked for.
pub(super) fn same_person(id: RecoveryId) -> Refused {
    Refused::denied("SAME_PERSON", format!("you asked for {id} yourself"), "another person must approve or deny it")
}

/// Nobody asks for or decides on their own account.
pub(super) fn own_account() -> Refused {
    Refused::denied("OWN_ACCOUNT", "the account is your own", "another person must do this")
}
