//! Disables accounts that are out past their time, where the organisation wants that. Off by default.

use std::sync::Arc;

use homeward_provider::Priority;
use homeward_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::BATCH;
use crate::lease::Event;
use crate::lease::store as leases;
use crate::ledger::Happened;
use crate::site::Site;

/// Contains until the shutdown. Where a disabled account cannot be moved, its return comes first, so nothing is done here.
pub async fn contain_overdue(site: Arc<Site>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(site.organisation().limits.probe) => {}
        }
        let capabilities = site.provider().capabilities();
        if site.is_silent() || !capabilities.containment || capabilities.disabled_account_movable == Some(false) {
            continue;
        }
        if let Err(error) = contain(&site).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "overdue accounts cannot be contained now");
        }
    }
}

async fn contain(site: &Site) -> Result<(), StoreError> {
    let ledger = site.ledger();
    let mut happened = Vec::new();
    for (lease, account) in leases::uncontained(ledger.db(), site.id(), BATCH).await? {
        match site.provider().disable(&account, "Homeward: the account is out past its time", Priority::Return).await {
            Ok(()) => happened.push(Happened::by_policy(lease, Event::Contained(true))),
            Err(error) => tracing::warn!(%lease, %error, "an overdue account cannot be disabled"),
        }
    }
    ledger.turn("lease.contain", &happened).await.map(drop)
}
