//! One full census after policy's database was restored from a backup (rule 12): every managed account's placement is read, from
//! the first to the last, before anything is lent again. It finds who is out under a lease that neither the backup nor the file
//! outside the database knows as open.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use homeward_provider::{Cursor, ErrorClass, Page, Priority, ProviderError};
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::{AccountId, IncidentId, LeaseId, Placement, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::incident::Incident;
use crate::lease::store as leases;
use crate::lease::{Event, Reading};
use crate::ledger::{Changes, Happened, POLICY};
use crate::organisation;
use crate::site::Site;

/// The most accounts that the announcement names.
const NAMED: usize = 20;

/// What a census came to.
#[derive(Debug, Default)]
struct Count {
    /// Accounts that were read.
    read: usize,
    /// Of these, out under a lease.
    leased: BTreeSet<AccountId>,
    /// Out without a lease, and Homeward had lent them once: leased again.
    again: BTreeSet<AccountId>,
    /// Out, and Homeward does not know why.
    strays: BTreeSet<AccountId>,
}

/// Takes a census whenever one is wanted, until the shutdown.
pub(crate) async fn take(site: Arc<Site>, shutdown: CancellationToken) {
    loop {
        match store::census_wanted(site.ledger().db(), site.id()).await {
            Ok(Some(wanted_at)) => {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    done = census(&site, wanted_at) => if let Err(error) = done {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the census is taken again: the database is in trouble");
                    }
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "whether a census is wanted cannot be read"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(site.organisation().limits.probe) => {}
        }
    }
}

/// One census, from the first account to the last. Trouble with the provider is waited out.
async fn census(site: &Site, wanted_at: Timestamp) -> Result<(), StoreError> {
    tracing::info!(organisation = %site.id(), "policy was restored: every account is read before anything is lent");
    let mut count = Count::default();
    // A page may show an account again. Only hashes are kept, for the number: every account that a page shows is read.
    let (hasher, mut seen) = (RandomState::new(), HashSet::new());
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = match site.provider().page_accounts(cursor.as_ref(), Priority::Sync).await {
            Ok(page) => page,
            Err(error) => {
                if error.class == ErrorClass::PermanentForAccount && cursor.is_some() {
                    // The provider forgot where we were: from the first account again.
                    cursor = None;
                }
                wait_out(site, &error).await;
                continue;
            }
        };
        let Page { items, next, .. } = page;
        let accounts: Vec<AccountId> = items.into_iter().map(|record| record.account).collect();
        seen.extend(accounts.iter().map(|account| hasher.hash_one(account)));
        look(site, &accounts, &mut count).await?;
        if next.is_none() {
            count.read = seen.len();
            return finish(site, wanted_at, &count).await;
        }
        cursor = next;
    }
}

async fn wait_out(site: &Site, error: &ProviderError) {
    tracing::warn!(organisation = %site.id(), %error, "the census waits: accounts cannot be read");
    let wait: Duration = error.retry_after().unwrap_or_default().max(site.organisation().limits.probe);
    tokio::time::sleep(wait).await;
}

/// Reads where these accounts are; who is out without a lease is leased again, if Homeward lent the account once.
async fn look(site: &Site, accounts: &[AccountId], count: &mut Count) -> Result<(), StoreError> {
    let placements = loop {
        // Also while the provider counts as silent: where nobody is out, this may be the only one who asks.
        let read = site.provider().read_placements(accounts, Priority::Sync).await;
        site.heard(read.as_ref().err()).await;
        match read {
            Ok(placements) => break placements,
            Err(error) => wait_out(site, &error).await,
        }
    };
    let recovery_policy = &site.organisation().recovery_policy;
    let out: Vec<&Placement> = placements.iter().filter(|placement| placement.policy.as_ref() == Some(recovery_policy)).collect();
    if out.is_empty() {
        return Ok(());
    }
    let ids: Vec<&AccountId> = out.iter().map(|placement| &placement.account).collect();
    let past = store::newest_leases(site.ledger().db(), site.id(), &ids).await?;
    let known: Vec<LeaseId> =
        past.values().filter(|newest| !newest.open && !newest.released).map(|newest| newest.lease).collect();
    let trust = organisation::store::read(site.ledger().db(), site.id()).await?.trust;
    let kept = leases::all_kept(site.ledger().db(), &known).await?;
    let mut happened = Vec::new();
    for placement in out {
        match past.get(placement.account.as_str()) {
            Some(newest) if newest.open => drop(count.leased.insert(placement.account.clone())),
            // Two persons let it stay there.
            Some(newest) if newest.released => {}
            Some(newest) => {
                count.again.insert(placement.account.clone());
                let lease = kept.iter().map(|kept| &kept.lease).find(|lease| lease.id == newest.lease);
                happened.extend(lease.map(|lease| {
                    let reading = Reading::of(placement, site.organisation(), lease);
                    Happened::by_policy(lease.id, Event::Read { reading, trust })
                }));
            }
            None => drop(count.strays.insert(placement.account.clone())),
        }
    }
    site.ledger().turn("census.read", &happened).await.map(drop)
}

/// The census is over, unless another restore was noticed meanwhile. Everybody is told what it found.
async fn finish(site: &Site, wanted_at: Timestamp, count: &Count) -> Result<(), StoreError> {
    let ledger = site.ledger();
    let changes = transaction!(ledger.db(), "census.done", async |tx| -> Result<Option<Changes>, StoreError> {
        let now = ledger.now();
        if !store::census_done(tx, site.id(), wanted_at).await? {
            return Ok(None);
        }
        let entry = Entry::new(now, site.id(), POLICY, "organisation.census", site.id().to_string());
        let detail = json!({ "accounts": count.read, "leased": count.leased.len(), "again": count.again.len(), "strays": count.strays.len() });
        audit::record(tx, &[entry.detail(detail)]).await?;
        ledger.apply(tx, &[], vec![announcement(site, count)], now).await.map(Some)
    })?;
    if let Some(changes) = changes {
        tracing::info!(organisation = %site.id(), accounts = count.read, "every account was read since the restore");
        ledger.committed(changes);
    }
    Ok(())
}

fn announcement(site: &Site, count: &Count) -> Incident {
    let Count { read, strays, .. } = count;
    let (leased, again) = (count.leased.len(), count.again.len());
    let mut sentence = format!(
        "every account was read since policy's database was restored: {read} accounts, {leased} are out under leases, {again} were \
         out under none and are brought home, {} are out and Homeward does not know why",
        strays.len()
    );
    for (n, account) in strays.iter().take(NAMED).enumerate() {
        sentence.push_str(if n == 0 { ": " } else { ", " });
        sentence.push_str(account.as_str());
    }
    if strays.len() > NAMED {
        sentence.push_str(", …");
    }
    let id = IncidentId::new(site.ledger().clock());
    Incident {
        next_action: "no lends until two operators end the drain; returns go on".into(),
        safe_action: "move home at the provider whom nobody knows; then two operators end the drain with `homeward drain --end`"
            .into(),
        ..Incident::announcement(id, site.id(), "census", sentence)
    }
}
