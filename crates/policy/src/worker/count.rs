//! Counts the organisation's accounts: the hard cap is a share of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use homeward_provider::{Priority, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use tokio_util::sync::CancellationToken;

use crate::organisation;
use crate::site::Site;

/// How long a count is good for.
const GOOD: Duration = Duration::from_hours(6);

/// How long to wait before counting is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked whether a count is still good: the clock may have been stepped meanwhile.
const LOOK: Duration = Duration::from_mins(1);

/// Counts until the shutdown: at the first start, and now and then.
pub async fn count_accounts(site: Arc<Site>, shutdown: CancellationToken) {
    loop {
        let wait = match organisation::store::read(site.ledger().db(), site.id()).await {
            Ok(state) => {
                if let Some(left) =
                    state.counted_at.map(|at| after(at, GOOD) - site.ledger().now()).and_then(|left| left.to_std().ok())
                {
                    left
                } else {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        counted = count(&site) => if counted { GOOD } else { AGAIN },
                    }
                }
            }
            Err(_) => AGAIN,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait.min(LOOK)) => {}
        }
    }
}

async fn count(site: &Site) -> bool {
    let accounts = match pages(site).await {
        Ok(accounts) => accounts,
        Err(error) => {
            tracing::warn!(organisation = %site.id(), %error, "accounts cannot be counted; lends wait until they were counted once");
            return false;
        }
    };
    let now = site.ledger().now();
    let noted = transaction!(site.ledger().db(), "organisation.count", async |tx| -> Result<(), StoreError> {
        organisation::store::counted(tx, site.id(), accounts, now).await
    });
    tracing::info!(organisation = %site.id(), accounts, hard_cap = site.organisation().limits.hard_cap(accounts), "accounts were counted");
    noted.is_ok()
}

/// Each account once, though a page may show one again. Only hashes are kept: a million accounts take some megabytes, and two
/// that share a hash count as one, which makes the cap smaller, never larger.
async fn pages(site: &Site) -> Result<u64, ProviderError> {
    let hasher = RandomState::new();
    let mut seen: HashSet<u64> = HashSet::new();
    let mut cursor = None;
    loop {
        let page = site.provider().page_accounts(cursor.as_ref(), Priority::Sync).await?;
        seen.extend(page.items.iter().map(|record| hasher.hash_one(&record.account)));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(seen.len() as u64),
        }
    }
}
