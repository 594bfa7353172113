//! What only a move can show of the provider, judged at the first lend and return and kept: whether a move's task can be read,
//! and whether a placement's version grows. (Versions are trusted by rule 3 alone; this tells people how it stands.)

use homeward_provider::{Priority, TaskId};
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::{IncidentId, LeaseEnd, PlacementVersion};
use serde_json::json;

use crate::incident::Incident;
use crate::keys;
use crate::lease::store as leases;
use crate::lease::{Lease, News, State};
use crate::ledger::{Outcome, POLICY};
use crate::organisation::{Judged, store as organisations};
use crate::site::Site;

/// Looks whether these outcomes are the organisation's first of their kind. Costs one small read where somebody was seen out
/// or back, and nothing otherwise.
pub(super) async fn first_moves(site: &Site, outcomes: &[Outcome]) -> Result<(), StoreError> {
    let moved: Vec<&Lease> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.news, Some(News::Lent | News::Closed)))
        .filter_map(|outcome| outcome.kept.as_ref())
        .map(|kept| &kept.lease)
        .collect();
    let Some(first) = moved.first() else { return Ok(()) };
    let known = organisations::judged(site.ledger().db(), site.id()).await?;
    if known.is_complete() {
        return Ok(());
    }
    let mut found = Judged::default();
    for lease in &moved {
        let out = lease.sight.out.as_ref().and_then(|out| out.version);
        if lease.sight.out.is_some() {
            found.lend_version.get_or_insert(grew(lease.home_version, out));
        }
        if matches!(&lease.state, State::Closed(ending) if ending.end == LeaseEnd::Home) && lease.sight.out.is_some() {
            found.return_version.get_or_insert(grew(out, lease.sight.back_version));
        }
    }
    if known.task_read.is_none() {
        found.task_read = task_read(site, first).await?;
    }
    keep(site, found.without(&known)).await
}

fn grew(before: Option<PlacementVersion>, after: Option<PlacementVersion>) -> String {
    match (before, after) {
        (_, None) | (None, _) => "missing",
        (Some(before), Some(after)) if after > before => "grew",
        (Some(_), Some(_)) => "same",
    }
    .to_owned()
}

/// `None` where nothing could be learned this time.
async fn task_read(site: &Site, lease: &Lease) -> Result<Option<String>, StoreError> {
    let sent = leases::last_sent(site.ledger().db(), lease.id).await?;
    let Some(task) = sent.and_then(|sent| sent.task) else { return Ok(None) };
    Ok(match site.provider().poll_task(&TaskId::new(task), Priority::Evidence).await {
        Ok(Some(_)) => Some("works".to_owned()),
        Ok(None) => Some("works; the task was forgotten by then".to_owned()),
        Err(error) if error.reason.is_about_the_key() => Some(format!("refused: {error}")),
        Err(_) => None,
    })
}

async fn keep(site: &Site, found: Judged) -> Result<(), StoreError> {
    if found == Judged::default() {
        return Ok(());
    }
    let ledger = site.ledger();
    tracing::info!(organisation = %site.id(), ?found, "the first moves showed this of the provider");
    let detail = json!({
        "task_read": found.task_read, "lend_version": found.lend_version, "return_version": found.return_version,
    });
    transaction!(ledger.db(), "organisation.judged", async |tx| -> Result<(), StoreError> {
        organisations::judge(tx, site.id(), &found).await?;
        let entry = Entry::new(ledger.now(), site.id(), POLICY, "provider.judged", site.id().to_string());
        audit::record(tx, &[entry.detail(detail.clone())]).await
    })?;
    let refused = found.task_read.filter(|verdict| verdict.starts_with("refused"));
    let incident = refused.map(|why| Incident::task_unreadable(IncidentId::new(ledger.clock()), site.id(), &why));
    keys::open(site, incident.into_iter().collect()).await
}
