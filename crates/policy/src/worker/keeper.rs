//! Keeps time: leases end at their due time by themselves, expired claims become unknown, returns come again, people are told.

use std::sync::Arc;

use homeward_store::StoreError;
use homeward_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{BATCH, rest};
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
                if let Err(error) = site.agree().await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "what others noted of the provider cannot be read");
                }
            }
        }
        if !ledger.belfry().tick.wait(next, ledger.clock(), &shutdown).await {
            return;
        }
    }
}

/// Everything that is due, in batches. Says when there is something next.
async fn keep(ledger: &Ledger) -> Result<Option<Timestamp>, StoreError> {
    let mut before = Vec::new();
    loop {
        let due = leases::due_ticks(ledger.db(), ledger.now(), BATCH).await?;
        if due.is_empty() {
            return leases::next_tick(ledger.db()).await;
        }
        // Leases that are due again at once would keep the loop busy for ever: they wait for the next look.
        if due == before {
            return Ok(None);
        }
        let ticks: Vec<Happened> = due.iter().map(|lease| Happened::by_policy(*lease, Event::Tick)).collect();
        ledger.turn("lease.tick", &ticks).await?;
        before = due;
    }
}

/// Shows the organisation's exposure.
async fn show(ledger: &Ledger, site: &Site) {
    let now = ledger.now();
    match leases::exposure(ledger.db(), site.id(), now).await {
        Ok(exposure) => ledger.meters().exposure(site.id(), &exposure, now),
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "exposure cannot be shown"),
    }
}
