//! What persons do to a recovery: proof, votes, cancel, return, the word about the old factor.

use std::collections::HashMap;
use std::sync::Arc;

use homeward_chassis::auth::Caller;
use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::{CancelRecoveryRequest, ConfirmResetRequest, ItemResult, Proof, ReturnNowRequest, Vote};
use homeward_saga::{Arrival, Progress};
use homeward_types::{PersonId, ProofKind, RecoveryId};
use uuid::Uuid;

use super::problem::{
    ending_anyway, not_submitted, not_the_requester, nothing_lent, own_account, problem, progress_of, proof_not_taken,
    reset_not_awaited, same_person, unknown, unread, vote_not_taken,
};
use super::{not_too_many, recovery_id, words};
use crate::case::{Case, store};
use crate::parts::Shared;
use crate::saga::RecoverySaga;
use crate::saga::data::Data;
use crate::saga::input::Input;
use crate::saga::words::step_name;

/// Evidence is a note, not a file.
const EVIDENCE: usize = 4_000;

/// A reason is a sentence or two.
const REASON: usize = 1_000;

/// One item of a bulk call that may go to the saga, and how to answer if it is no news there.
struct Act {
    id: RecoveryId,
    input: Input,
    why_not: WhyNot,
}

/// What was wanted, for the answer when nothing came of it.
enum WhyNot {
    Proof(ProofKind),
    Vote(PersonId),
}

pub(super) async fn attach_proofs(shared: &Shared, caller: &Caller, proofs: Vec<Proof>) -> Result<Vec<ItemResult>, Refused> {
    not_too_many(proofs.len())?;
    let by = shared.people.human(&caller.person().id);
    let cases = cases(shared, proofs.iter().map(|proof| proof.recovery.as_str())).await?;
    let acts = proofs.iter().map(|proof| (proof.recovery.clone(), attach(&by, &cases, proof))).collect();
    carry_out(shared, acts).await
}

fn attach(by: &PersonId, cases: &HashMap<Uuid, Case>, proof: &Proof) -> Result<Act, Refused> {
    let case = case_of(cases, &proof.recovery)?;
    if case.requester != *by {
        return Err(not_the_requester(case.id, &case.requester));
    }
    let kind = ProofKind::try_from(proof.kind()).map_err(|_| {
        Refused::invalid(
            "PROOF_KIND_MISSING",
            "the kind of proof is missing",
            "say which: call_back, manager_vouch, second_address or vendor",
        )
    })?;
    let evidence = words("evidence", &proof.evidence, EVIDENCE)?;
    if evidence.is_empty() {
        return Err(Refused::invalid(
            "EVIDENCE_MISSING",
            "the evidence is empty",
            "write down what was seen or heard, and by whom",
        ));
    }
    Ok(Act { id: case.id, input: Input::ProofAttached { by: by.clone(), kind, evidence }, why_not: WhyNot::Proof(kind) })
}

pub(super) async fn cast_votes(shared: &Shared, caller: &Caller, votes: Vec<Vote>) -> Result<Vec<ItemResult>, Refused> {
    not_too_many(votes.len())?;
    let by = shared.people.human(&caller.person().id);
    let cases = cases(shared, votes.iter().map(|vote| vote.recovery.as_str())).await?;
    let acts = votes.iter().map(|vote| (vote.recovery.clone(), cast(shared, &by, &cases, vote))).collect();
    carry_out(shared, acts).await
}

/// Requester, approvers and subject are different human beings.
fn cast(shared: &Shared, by: &PersonId, cases: &HashMap<Uuid, Case>, vote: &Vote) -> Result<Act, Refused> {
    let case = case_of(cases, &vote.recovery)?;
    if shared.people.human(&case.requester) == *by {
        return Err(same_person(case.id));
    }
    if shared.people.is_own(by, &case.account, case.email.as_ref()) {
        return Err(own_account());
    }
    let reason = words("reason", &vote.reason, REASON)?;
    if !vote.approve && reason.is_empty() {
        return Err(Refused::invalid(
            "REASON_MISSING",
            "a denial needs a reason",
            "say why, for the requester and for the record",
        ));
    }
    Ok(Act {
        id: case.id,
        input: Input::Voted { by: by.clone(), approve: vote.approve, reason },
        why_not: WhyNot::Vote(by.clone()),
    })
}

/// The cases that these texts name; texts that name none are answered item by item.
async fn cases<'a>(shared: &Shared, texts: impl Iterator<Item = &'a str>) -> Result<HashMap<Uuid, Case>, Refused> {
    let mut ids: Vec<Uuid> = texts.filter_map(|text| text.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    let cases = store::read(&shared.db, &ids).await.map_err(|error| unread(&error))?;
    Ok(cases.into_iter().map(|case| (case.id.uuid(), case)).collect())
}

fn case_of<'a>(cases: &'a HashMap<Uuid, Case>, text: &str) -> Result<&'a Case, Refused> {
    let id = recovery_id(text)?;
    cases.get(&id.uuid()).ok_or_else(|| unknown(id))
}

/// Hands everything that may go to the sagas in at once, and answers each item for itself.
async fn carry_out(shared: &Shared, acts: Vec<(String, Result<Act, Refused>)>) -> Result<Vec<ItemResult>, Refused> {
    let arrivals = acts
        .iter()
        .filter_map(|(_, act)| act.as_ref().ok())
        .map(|act| Arrival::input(act.id.uuid(), act.input.clone()))
        .collect();
    let mut handled = shared.coordinator.submit(arrivals).await.map_err(|error| not_submitted(&error))?.into_iter();
    let answer = |(recovery, act): (String, Result<Act, Refused>)| {
        let outcome = act.and_then(|act| {
            let handled = handled.next().ok_or_else(|| unknown(act.id))?;
            let (changed, progress) = progress_of(act.id, handled)?;
            Ok((act, changed, progress))
        });
        item(recovery, outcome)
    };
    Ok(acts.into_iter().map(answer).collect())
}

fn item(recovery: String, outcome: Result<(Act, bool, Arc<Progress<Data>>), Refused>) -> ItemResult {
    match outcome {
        Ok((act, changed, progress)) => {
            let refused = (!changed).then(|| match &act.why_not {
                WhyNot::Proof(kind) => proof_not_taken(act.id, *kind, &progress),
                WhyNot::Vote(by) => vote_not_taken(act.id, by, &progress),
            });
            ItemResult { recovery, problem: refused.map(problem), step: step_of(&progress) }
        }
        Err(refused) => ItemResult { recovery, problem: Some(problem(refused)), step: String::new() },
    }
}

fn step_of(progress: &Progress<Data>) -> String {
    step_name(progress.step.as_deref()).to_owned()
}

pub(super) async fn cancel(shared: &Shared, caller: &Caller, request: CancelRecoveryRequest) -> Result<String, Refused> {
    let id = recovery_id(&request.recovery)?;
    let by = shared.people.human(&caller.person().id);
    let reason = words("reason", &request.reason, REASON)?;
    let (changed, progress) = submit(shared, id, Input::Cancelled { by, reason }).await?;
    if !changed {
        ending_anyway(id, &progress)?;
    }
    Ok(step_of(&progress))
}

pub(super) async fn return_now(shared: &Shared, caller: &Caller, request: ReturnNowRequest) -> Result<String, Refused> {
    let id = recovery_id(&request.recovery)?;
    let by = shared.people.human(&caller.person().id);
    let reason = words("reason", &request.reason, REASON)?;
    let (changed, progress) = submit(shared, id, Input::ReturnNow { by, reason }).await?;
    if !changed && progress.data.granted_at.is_none() && !progress.is_closed() {
        return Err(nothing_lent(id));
    }
    if !changed {
        ending_anyway(id, &progress)?;
    }
    Ok(step_of(&progress))
}

pub(super) async fn confirm_reset(shared: &Shared, caller: &Caller, request: ConfirmResetRequest) -> Result<String, Refused> {
    let id = recovery_id(&request.recovery)?;
    let by = shared.people.human(&caller.person().id);
    let (changed, progress) = submit(shared, id, Input::ResetConfirmed { by }).await?;
    if !changed {
        reset_not_awaited(id, &progress)?;
    }
    Ok(step_of(&progress))
}

async fn submit(shared: &Shared, id: RecoveryId, input: Input) -> Result<(bool, Arc<Progress<Data>>), Refused> {
    let arrival: Arrival<RecoverySaga> = Arrival::input(id.uuid(), input);
    let mut handled = shared.coordinator.submit(vec![arrival]).await.map_err(|error| not_submitted(&error))?;
    progress_of(id, handled.pop().ok_or_else(|| unknown(id))?)
}
