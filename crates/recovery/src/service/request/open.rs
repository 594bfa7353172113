//! Opening what was judged well: one transaction for all of a call, an answer for each item.

use homeward_chassis::rpc::Refused;
use homeward_chassis::telemetry::TraceContext;
use homeward_proto::recovery::v1::RequestResult;
use homeward_saga::{Arrival, Handled, Refusal};
use homeward_types::diagnosis::Outcome;
use homeward_types::{Diagnosis, Organisation, RecoveryId};

use super::{Draft, not_helped};
use crate::case::store;
use crate::parts::Shared;
use crate::saga::RecoverySaga;
use crate::saga::data::Data;
use crate::service::problem::{not_submitted, problem, unread};

/// Opens what can be opened, all in one go, and answers every item.
pub(super) async fn open(
    shared: &Shared,
    organisation: &Organisation,
    drafts: Vec<Draft>,
) -> Result<Vec<RequestResult>, Refused> {
    let alone = drafts.len() == 1;
    let arrivals = drafts.iter().filter_map(|draft| arrival(draft, alone)).collect();
    let mut handled = shared.coordinator.submit(arrivals).await.map_err(|error| not_submitted(&error))?.into_iter();
    let mut results = Vec::with_capacity(drafts.len());
    for draft in drafts {
        results.push(match draft {
            Draft::Refused { problem: refused, diagnosis } => RequestResult {
                diagnosis: diagnosis.map(|diagnosis| (&*diagnosis).into()),
                problem: Some(problem(refused)),
                ..RequestResult::default()
            },
            Draft::Known(id) => RequestResult { recovery: id.to_string(), ..RequestResult::default() },
            Draft::New { id, data, diagnosis, key } => {
                let born = Born { id, data: &data, diagnosis: &diagnosis, key };
                answer(shared, organisation, born, handled.next()).await?
            }
        });
    }
    Ok(results)
}

fn arrival(draft: &Draft, alone: bool) -> Option<Arrival<RecoverySaga>> {
    let Draft::New { id, data, .. } = draft else { return None };
    Some(Arrival::New { id: id.uuid(), data: (**data).clone(), trace: anchor(*id, alone) })
}

/// A recovery is one trace. Alone in its call it goes on in the caller's; of several each begins its own, which links to the call's.
fn anchor(id: RecoveryId, alone: bool) -> TraceContext {
    let current = TraceContext::current();
    let span = if alone {
        tracing::info_span!("recovery", otel.name = "recovery.requested", saga.id = %id)
    } else {
        tracing::info_span!(parent: None, "recovery", otel.name = "recovery.requested", saga.id = %id)
    };
    if !alone && !current.is_none() {
        current.link(&span);
    }
    let of_span = TraceContext::of(&span);
    if of_span.is_none() { current } else { of_span }
}

struct Born<'a> {
    id: RecoveryId,
    data: &'a Data,
    diagnosis: &'a Diagnosis,
    key: Option<String>,
}

async fn answer(
    shared: &Shared,
    organisation: &Organisation,
    born: Born<'_>,
    handled: Option<Handled<RecoverySaga>>,
) -> Result<RequestResult, Refused> {
    let diagnosis = Some(born.diagnosis.into());
    match handled {
        Some(Handled::Done { progress, .. }) => Ok(RequestResult {
            recovery: born.id.to_string(),
            diagnosis,
            problem: None,
            proofs_needed: missing(progress.data.terms.proofs, progress.data.proofs.len()),
            approvals_needed: missing(progress.data.terms.approvers, 0),
        }),
        Some(Handled::Refused(Refusal::Failed(error))) if error.is_unique_violation() => {
            somebody_was_faster(shared, organisation, &born).await
        }
        Some(Handled::Refused(refusal)) => {
            Ok(RequestResult { diagnosis, problem: Some(problem(Refused::internal(&refusal))), ..RequestResult::default() })
        }
        Some(Handled::Missing | Handled::Unknown(_)) | None => {
            let problem = problem(Refused::internal(&std::io::Error::other("a new recovery was not answered")));
            Ok(RequestResult { diagnosis, problem: Some(problem), ..RequestResult::default() })
        }
    }
}

/// The database knows one open recovery an account, and one recovery a key: another call came in between.
async fn somebody_was_faster(shared: &Shared, organisation: &Organisation, born: &Born<'_>) -> Result<RequestResult, Refused> {
    if let Some(key) = &born.key {
        let known = store::by_keys(&shared.db, &organisation.id, &born.data.requester, &[key.as_str()]).await;
        if let Some(id) = known.map_err(|error| unread(&error))?.get(key) {
            return Ok(RequestResult { recovery: id.to_string(), ..RequestResult::default() });
        }
    }
    let mut diagnosis = born.diagnosis.clone();
    let history = store::history(&shared.db, &organisation.id, &[&born.data.account], shared.clock.now()).await;
    let open = history.map_err(|error| unread(&error))?.get(born.data.account.as_str()).and_then(|history| history.open);
    diagnosis.outcome = Outcome::RecoveryOpen { recovery: open.unwrap_or(born.id) };
    let refused = not_helped(&diagnosis);
    Ok(RequestResult { diagnosis: Some((&diagnosis).into()), problem: Some(problem(refused)), ..RequestResult::default() })
}

fn missing(needed: usize, there: usize) -> i32 {
    i32::try_from(needed.saturating_sub(there)).unwrap_or(i32::MAX)
}
