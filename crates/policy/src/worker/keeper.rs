//! Keeps time: leases end at their due time by themselves, expired claims become unknown, returns come again, people are told.

use std::sync::Arc;

use homeward_provider::Priority;
use homeward_store::StoreError;
use homeward_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{BATCH, rest};
use crate::bells::wait;
use crate::lease::Event;
use crate::lease::store as leases;
use crate::ledger::{Happened, Ledger};
use crate::site::{Site, Sites};

/// Keeps time for all leases until the shutdown.
pub async fn keep_time(ledger: Ledger, sites: Arc<Sites>, shutdown: CancellationToken) {
    let mut shown_at = Timestamp::MIN_UTC;
    while !shutdown.is_cancelled() {
        let next = match keep(&ledger).await {
            Ok(next) => next,
            Err(error) => {
                if !rest("keeping time", &error, &shutdown).await {
                    return;
                }
                continue;
            }
        };
        // Once a second is often enough for eyes, whatever wakes the loop.
        if (ledger.now() - shown_at).num_milliseconds().abs() >= 1_000 {
            shown_at = ledger.now();
            for site in sites.values() {
                show(&ledger, site).await;
            }
        }
        if !wait(&ledger.belfry().tick, next, ledger.clock(), &shutdown).await {
            return;
        }
    }
}

/// Everything that is due, in batches. Says when there is something next.
async fn keep(ledger: &Ledger) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let due = leases::due_ticks(ledger.db(), ledger.now(), BATCH).await?;
        if due.is_empty() {
            return leases::next_tick(ledger.db()).await;
        }
        let ticks: Vec<Happened> = due.into_iter().map(|lease| Happened::by_policy(lease, Event::Tick)).collect();
        ledger.turn("lease.tick", &ticks).await?;
    }
}

/// Shows the organisation's exposure, and contains what is overdue where that is wanted.
async fn show(ledger: &Ledger, site: &Site) {
    let now = ledger.now();
    match leases::exposure(ledger.db(), site.id(), now).await {
        Ok(exposure) => {
            ledger.meters().exposure(site.id(), &exposure, now);
            if exposure.overdue > 0 && site.organisation().limits.contain_overdue && !site.is_silent() {
                contain_overdue(ledger, site).await;
            }
        }
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "exposure cannot be shown"),
    }
}

/// Disables accounts that are out past their time. Where a disabled account cannot be moved, the return comes first.
async fn contain_overdue(ledger: &Ledger, site: &Site) {
    let capabilities = site.provider().capabilities();
    if !capabilities.containment || capabilities.disabled_account_movable == Some(false) {
        return;
    }
    let Ok(overdue) = leases::uncontained(ledger.db(), site.id(), BATCH).await else { return };
    let mut happened = Vec::new();
    for (lease, account) in overdue {
        match site.provider().disable(&account, "Homeward: the account is out past its time", Priority::Return).await {
            Ok(()) => happened.push(Happened::by_policy(lease, Event::Contained(true))),
            Err(error) => tracing::warn!(%lease, %error, "an overdue account cannot be disabled"),
        }
    }
    if let Err(error) = ledger.turn("lease.contain", &happened).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "that accounts are disabled cannot be noted; it is done again");
    }
}
