//! Reads an organisation's accounts through, over and over, and tells what changed.
//!
//! A sweep pages the managed accounts and writes each page in one transaction with the events that it leads to and with the
//! cursor, so that a crash resumes at the page that was not committed. While one page is being written the next is being
//! read; no more than these two are in memory. Managed accounts that no page of a complete sweep showed are searched for,
//! which is a different call; one that the search misses too is gone. Nothing is ever deleted.

pub mod store;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_messaging::Batch;
use homeward_provider::{AccountRecord, Cursor, ErrorClass, Page, Priority, ProviderError, Search};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::{after, backoff};
use homeward_types::{AccountId, Email, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::account::store::{self as accounts, Reading};
use crate::account::{Account, Source};
use crate::tenant::{Tenant, pause};
use crate::wire;
use store::{Claim, Stage, Sweep};

/// How long a process that stopped in the middle keeps others (and its own next start) from going on. Renewed with each page.
const CLAIM: Duration = Duration::from_secs(20);
/// The first wait after trouble; doubles up to the organisation's wait between two sweeps.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Missing accounts that are searched for in one go.
const MISSING: i64 = 200;

/// Why a sweep stopped. What was written stays written.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("the database")]
    Store(#[from] StoreError),
    #[error("the provider")]
    Provider(#[from] ProviderError),
    #[error("another process took the sweep over")]
    TakenOver,
}

/// The loop of one organisation.
pub struct Sweeps {
    tenant: Arc<Tenant>,
}

impl Sweeps {
    /// A loop that has not started.
    pub fn new(tenant: Arc<Tenant>) -> Self {
        Self { tenant }
    }

    /// Sweeps until the shutdown.
    pub async fn run(&self, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.turn() => swept,
            };
            let wait = match swept {
                Ok(due) => {
                    failures = 0;
                    self.tenant.until(due)
                }
                Err(error) => {
                    let wait = self.after_trouble(&error, failures);
                    failures += 1;
                    wait
                }
            };
            pause(&stop, wait).await;
        }
    }

    fn after_trouble(&self, error: &SyncError, failures: u32) -> Duration {
        let wait = backoff(FIRST_WAIT, self.tenant.limits().sync.max(FIRST_WAIT), failures);
        tracing::warn!(organisation = %self.tenant.id(), error = homeward_chassis::error_chain(error), ?wait, "the sweep rests");
        match error {
            SyncError::Provider(error) => error.retry_after().unwrap_or_default().max(wait),
            SyncError::Store(_) | SyncError::TakenOver => wait,
        }
    }

    /// Begins, resumes or leaves alone. Gives when to look again.
    async fn turn(&self) -> Result<Timestamp, SyncError> {
        let (tenant, now) = (&self.tenant, self.tenant.now());
        let claim = self.claim();
        let claimed = transaction!(tenant.db, "sweep.claim", async |tx| -> Result<Option<Sweep>, StoreError> {
            store::claim(tx, tenant.id(), claim, now).await
        })?;
        let Some(mut sweep) = claimed else { return Ok(after(now, CLAIM / 2)) };
        if sweep.stage == Stage::Resting {
            if sweep.due_at > now {
                return Ok(sweep.due_at);
            }
            self.begin(&mut sweep).await?;
        }
        if sweep.stage == Stage::Paging {
            self.pages(&mut sweep).await?;
        }
        self.missing(&mut sweep).await?;
        Ok(sweep.due_at)
    }

    async fn begin(&self, sweep: &mut Sweep) -> Result<(), SyncError> {
        let now = self.tenant.now();
        sweep.number += 1;
        (sweep.stage, sweep.cursor, sweep.begun_at) = (Stage::Paging, None, now);
        sweep.after.clear();
        sweep.due_at = after(now, self.tenant.limits().sync);
        self.save(sweep).await
    }

    async fn pages(&self, sweep: &mut Sweep) -> Result<(), SyncError> {
        let mut page = match self.fetch(sweep.cursor.as_ref()).await {
            Err(error) if error.class == ErrorClass::PermanentForAccount && sweep.cursor.is_some() => {
                tracing::info!(organisation = %self.tenant.id(), %error, "the provider forgot where the sweep was; it begins again");
                self.begin(sweep).await?;
                self.fetch(None).await?
            }
            fetched => fetched?,
        };
        loop {
            let next = page.next.clone();
            let ahead = async {
                match &next {
                    Some(cursor) => Some(self.fetch(Some(cursor)).await),
                    None => None,
                }
            };
            let (kept, ahead) = tokio::join!(self.keep(sweep, &page), ahead);
            kept?;
            match ahead {
                Some(fetched) => page = fetched?,
                None => return Ok(()),
            }
        }
    }

    async fn fetch(&self, cursor: Option<&Cursor>) -> Result<Page<AccountRecord>, ProviderError> {
        let fetched = boundary!("provider", "sync", self.tenant.provider.page_accounts(cursor, Priority::Sync).await);
        self.tenant.silence.heard(self.tenant.id(), &fetched).await;
        fetched
    }

    /// Writes a page: rows, events, and where the next one begins.
    async fn keep(&self, sweep: &mut Sweep, page: &Page<AccountRecord>) -> Result<(), SyncError> {
        sweep.cursor.clone_from(&page.next);
        if page.next.is_none() {
            sweep.stage = Stage::Missing;
        }
        let how = Reading { source: Source::Page, ..by_search(sweep) };
        self.write(sweep, &page.items, &[], how).await
    }

    /// Looks again for managed accounts that no page showed; then the sweep is complete.
    async fn missing(&self, sweep: &mut Sweep) -> Result<(), SyncError> {
        let tenant = &self.tenant;
        loop {
            let unseen = accounts::find::unseen(&tenant.db, tenant.id(), sweep.number, &sweep.after, MISSING).await?;
            let Some(last) = unseen.last() else { break };
            sweep.after = last.id.to_string();
            let found = self.look_again(&unseen).await?;
            let there: HashSet<&AccountId> = found.iter().map(|record| &record.account).collect();
            let gone: Vec<AccountId> =
                unseen.iter().map(|account| &account.id).filter(|id| !there.contains(id)).cloned().collect();
            self.write(sweep, &found, &gone, by_search(sweep)).await?;
        }
        let now = tenant.now();
        (sweep.stage, sweep.completed_at) = (Stage::Resting, Some(now));
        sweep.accounts = accounts::find::count(&tenant.db, tenant.id()).await?;
        // A sweep that takes long leaves the provider a tenth of that time in peace.
        let rest = (now - sweep.begun_at).to_std().unwrap_or_default() / 10;
        sweep.due_at = sweep.due_at.max(after(now, rest));
        tracing::debug!(organisation = %tenant.id(), sweep = sweep.number, accounts = sweep.accounts, "swept");
        self.save(sweep).await
    }

    /// By address, a hundred a call; what that does not find, by id.
    async fn look_again(&self, unseen: &[Account]) -> Result<Vec<AccountRecord>, ProviderError> {
        let emails: Vec<Email> = unseen.iter().filter_map(|account| account.email.clone()).collect();
        let wanted: HashSet<&AccountId> = unseen.iter().map(|account| &account.id).collect();
        let mut found = self.search(Search::Emails(&emails)).await?;
        let there: HashSet<AccountId> = found.iter().map(|record| record.account.clone()).collect();
        let rest: Vec<AccountId> = wanted.iter().filter(|id| !there.contains(**id)).map(|id| (*id).clone()).collect();
        if !rest.is_empty() {
            found.extend(self.search(Search::Accounts(&rest)).await?);
        }
        Ok(found)
    }

    async fn search(&self, by: Search<'_>) -> Result<Vec<AccountRecord>, ProviderError> {
        let found = boundary!("provider", "sync", self.tenant.provider.find_accounts(by, Priority::Sync).await);
        self.tenant.silence.heard(self.tenant.id(), &found).await;
        found
    }

    async fn write(&self, sweep: &Sweep, seen: &[AccountRecord], lost: &[AccountId], how: Reading) -> Result<(), SyncError> {
        let (tenant, claim) = (&self.tenant, self.claim());
        let events = transaction!(tenant.db, "account.record", async |tx| -> Result<Batch, SyncError> {
            let mut changed = accounts::record(tx, tenant.id(), seen, how).await?;
            changed.extend(accounts::record_missed(tx, tenant.id(), lost, sweep.begun_at, how).await?);
            let mut events = tenant.outbox.batch();
            for change in &changed {
                events.push(wire::account_changed(tenant.id(), change));
            }
            events.store(tx).await?;
            if !store::save(tx, tenant.id(), sweep, claim).await? {
                return Err(SyncError::TakenOver);
            }
            Ok(events)
        })?;
        tenant.outbox.publish(events);
        Ok(())
    }

    async fn save(&self, sweep: &Sweep) -> Result<(), SyncError> {
        let nothing = Reading { source: Source::Page, sweep: None, filling: true };
        self.write(sweep, &[], &[], nothing).await
    }

    fn claim(&self) -> Claim {
        Claim { by: self.tenant.process, until: after(self.tenant.now(), CLAIM) }
    }
}

/// A read that belongs to this sweep.
fn by_search(sweep: &Sweep) -> Reading {
    Reading { source: Source::Search, sweep: Some(sweep.number), filling: sweep.completed_at.is_none() }
}
