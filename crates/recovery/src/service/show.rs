//! Cases, incidents and the audit log, for people.

use std::collections::BTreeMap;

use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1 as wire;
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1 as words;
use homeward_saga::Seen;
use homeward_store::audit;
use homeward_types::{IncidentId, RecoveryId};
use uuid::Uuid;

use super::problem::{unknown, unread};
use super::{organisation, page_size, recovery_id};
use crate::case::{Case, store};
use crate::parts::Shared;
use crate::saga::RecoverySaga;
use crate::saga::data::LeaseFact;
use crate::saga::words::{next, step_name};
use crate::{incident, timeline};

/// Entries of one timeline that are shown at once; a recovery has a few dozen.
const ENTRIES: i64 = 10_000;

pub(super) async fn recovery(shared: &Shared, request: &wire::GetRecoveryRequest) -> Result<wire::GetRecoveryResponse, Refused> {
    let id = recovery_id(&request.recovery)?;
    let (case, seen) = one(shared, id).await?;
    let entries = timeline::store::after(&shared.db, id.uuid(), 0, ENTRIES).await.map_err(|error| unread(&error))?;
    let data = &seen.progress.data;
    Ok(wire::GetRecoveryResponse {
        proofs: data.proofs.keys().map(|kind| words::ProofKind::from(*kind).into()).collect(),
        approvers: data.approvers().map(ToString::to_string).collect(),
        timeline: entries.into_iter().map(entry).collect(),
        recovery: Some(shown(shared, case, &seen)),
    })
}

/// A case with its saga.
pub(super) async fn one(shared: &Shared, id: RecoveryId) -> Result<(Case, Seen<RecoverySaga>), Refused> {
    let cases = store::read(&shared.db, &[id.uuid()]).await.map_err(|error| unread(&error))?;
    with_sagas(shared, cases).await?.pop().ok_or_else(|| unknown(id))
}

/// Each case with its saga, in order. A case that ended between the two looks is looked at again, so that nobody is shown
/// a closed recovery without its outcome.
async fn with_sagas(shared: &Shared, cases: Vec<Case>) -> Result<Vec<(Case, Seen<RecoverySaga>)>, Refused> {
    let ids: Vec<Uuid> = cases.iter().map(|case| case.id.uuid()).collect();
    let mut sagas = shared.coordinator.read(&ids).await.map_err(|error| unread(&error))?;
    let is_closed = |case: &&Case| sagas.get(&case.id.uuid()).is_some_and(|seen| seen.progress.is_closed());
    let torn: Vec<Uuid> = cases.iter().filter(|case| case.ended.is_none()).filter(is_closed).map(|case| case.id.uuid()).collect();
    let mended = store::read(&shared.db, &torn).await.map_err(|error| unread(&error))?;
    let mut mended: BTreeMap<Uuid, Case> = mended.into_iter().map(|case| (case.id.uuid(), case)).collect();
    let pair = |case: Case| {
        let id = case.id.uuid();
        Some((mended.remove(&id).unwrap_or(case), sagas.remove(&id)?))
    };
    Ok(cases.into_iter().filter_map(pair).collect())
}

pub(super) async fn recoveries(
    shared: &Shared,
    request: &wire::ListRecoveriesRequest,
) -> Result<wire::ListRecoveriesResponse, Refused> {
    let organisation = organisation(shared, &request.organisation)?;
    let before = if request.before.is_empty() { None } else { Some(recovery_id(&request.before)?) };
    let most = page_size(request.page_size);
    let cases = store::page(&shared.db, &organisation, request.open_only, before, most).await;
    let cases = cases.map_err(|error| unread(&error))?;
    let next_before = if page_is_full(cases.len(), most) { cases.last().map(|case| case.id.to_string()) } else { None };
    let recoveries = with_sagas(shared, cases).await?.into_iter().map(|(case, seen)| shown(shared, case, &seen)).collect();
    Ok(wire::ListRecoveriesResponse { recoveries, next_before: next_before.unwrap_or_default() })
}

/// A page that is not full is the last one.
fn page_is_full(rows: usize, most: i64) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= most)
}

/// A recovery as it stands.
pub(super) fn shown(shared: &Shared, case: Case, seen: &Seen<RecoverySaga>) -> wire::Recovery {
    let data = &seen.progress.data;
    let lease = data.lease.as_ref();
    let trace_id = seen.trace.trace_id().unwrap_or_default().to_owned();
    let trace_link = shared.trace_link.as_ref().filter(|_| !trace_id.is_empty());
    let moment = |pick: fn(&LeaseFact) -> Option<homeward_types::Timestamp>| lease.and_then(pick).map(timestamp);
    let (closed_at, outcome, outcome_sentence) =
        case.ended.map_or_else(Default::default, |ended| (Some(timestamp(ended.at)), ended.outcome, ended.sentence));
    wire::Recovery {
        recovery: case.id.to_string(),
        organisation: case.organisation.to_string(),
        account: case.account.to_string(),
        email: case.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: case.name,
        step: step_name(seen.progress.step.as_deref()).to_owned(),
        tier: words::Tier::from(case.tier).into(),
        requester: case.requester.to_string(),
        requested_at: Some(timestamp(case.requested_at)),
        out_since: moment(|lease| lease.out_at),
        due_at: moment(|lease| lease.due_at),
        back_at: moment(|lease| lease.back_at),
        closed_at,
        outcome,
        outcome_sentence,
        trace_link: trace_link.map(|link| link.replace("{trace_id}", &trace_id)).unwrap_or_default(),
        trace_id,
        lease_end: data.lease_end().map_or(words::LeaseEnd::Unspecified, words::LeaseEnd::from).into(),
        return_evidence: lease.map(|lease| lease.evidence.clone()).unwrap_or_default(),
        next: next(&shared.saga, &seen.progress),
        factor_at_lend: lease.and_then(|lease| lease.factor).map_or(words::Factor::Unspecified, words::Factor::from).into(),
        reset_page: data.reset_page.clone().unwrap_or_default(),
    }
}

pub(super) fn entry(entry: timeline::store::Stored) -> wire::TimelineEntry {
    wire::TimelineEntry {
        number: entry.number,
        at: Some(timestamp(entry.at)),
        kind: entry.kind,
        sentence: entry.sentence,
        actor: entry.actor,
    }
}

pub(super) async fn incidents(
    shared: &Shared,
    request: &wire::ListIncidentsRequest,
) -> Result<wire::ListIncidentsResponse, Refused> {
    let organisation = organisation(shared, &request.organisation)?;
    let most = page_size(request.page_size);
    let before = incident_id(&request.before)?;
    let rows = incident::store::page(&shared.db, &organisation, before, most).await.map_err(|error| unread(&error))?;
    let next_before = if page_is_full(rows.len(), most) { rows.last().map(|row| row.id.to_string()) } else { None };
    let incidents = rows.into_iter().map(|row| wire::Incident {
        incident: row.id.to_string(),
        organisation: organisation.to_string(),
        recovery: row.recovery.map(|recovery| recovery.to_string()).unwrap_or_default(),
        account: row.account,
        kind: row.kind,
        sentence: row.sentence,
        next_action: row.next_action,
        next_at: row.next_at.map(timestamp),
        safe_action: row.safe_action,
        opened_at: Some(timestamp(row.opened_at)),
    });
    Ok(wire::ListIncidentsResponse { incidents: incidents.collect(), next_before: next_before.unwrap_or_default() })
}

fn incident_id(text: &str) -> Result<Option<IncidentId>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |_| {
        Refused::invalid(
            "INCIDENT_ID_INVALID",
            format!("{text:?} is not the id of an incident"),
            "use `next_before` of the last page",
        )
    };
    text.parse().map(Some).map_err(invalid)
}

pub(super) async fn audit(shared: &Shared, request: &wire::VerifyAuditRequest) -> Result<wire::VerifyAuditResponse, Refused> {
    let organisation = organisation(shared, &request.organisation)?;
    let file = shared.checkpoints.clone();
    // Before the log is read: it may grow meanwhile.
    let lines = tokio::task::spawn_blocking(move || file.read()).await.map_err(|error| Refused::internal(&error))?;
    let lines = lines.map_err(|error| unread(&error))?;
    let keys = std::slice::from_ref(&shared.audit_key);
    let report = audit::verify(&shared.db, crate::SERVICE, &lines, keys).await.map_err(|error| unread(&error))?;
    let chain = report.chains.iter().find(|chain| chain.organisation == organisation.as_str()).cloned().unwrap_or_default();
    let finding = match &chain.broken {
        Some(broken) => format!("entry {} {}", broken.seq, broken.fault),
        None if report.unsigned > 0 => format!("{} checkpoints are not signed by recovery's key", report.unsigned),
        None => String::new(),
    };
    Ok(wire::VerifyAuditResponse { intact: finding.is_empty(), entries: chain.whole, anchored: chain.anchored, finding })
}
