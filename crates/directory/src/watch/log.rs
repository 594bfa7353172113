//! The loop that reads the provider's log, for accounts that wait for longer than reads alone should take.
//!
//! What the log says of any account's factor is kept for a while, because a line may be older than the watch that needs it.
//! Lines that name only an address are not used: an address may have changed hands.

pub mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use homeward_chassis::boundary;
use homeward_messaging::Batch;
use homeward_provider::{Cursor, ErrorClass, EventKind, EventPage, Priority, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::claim::{self, Claim};
use super::evidence::Logged;
use super::round::{RoundError, write};
use super::{Report, Watch, store as watches};
use crate::tenant::{Tenant, pause};
use store::Line;

/// The least time between two readings: the log has a rate limit of its own.
const EVERY: Duration = Duration::from_secs(2);
/// Pages in one reading; the rest follows at the next.
const PAGES: usize = 20;
/// A cursor that was not used for so long is not used again: what lies between would be read for nothing.
const STALE: TimeDelta = TimeDelta::minutes(10);
/// How far before the oldest placement a reading without a cursor begins.
const LOOK_BACK: TimeDelta = TimeDelta::minutes(5);

/// The loop of one organisation.
pub struct Log {
    tenant: Arc<Tenant>,
    claim: Arc<Claim>,
}

impl Log {
    /// A loop that has not started.
    pub fn new(tenant: Arc<Tenant>, claim: Arc<Claim>) -> Self {
        Self { tenant, claim }
    }

    /// Reads until the shutdown.
    pub async fn run(&self, stop: CancellationToken) {
        let every = EVERY.max(self.tenant.limits().watch);
        let mut failures = 0;
        while self.tenant.provider.capabilities().events && !stop.is_cancelled() {
            let turn = tokio::select! {
                () = stop.cancelled() => return,
                turn = self.turn() => turn,
            };
            let wait = match turn {
                Ok(()) => {
                    failures = 0;
                    every
                }
                Err(error) => {
                    // Reads go on without it.
                    tracing::info!(organisation = %self.tenant.id(), error = homeward_chassis::error_chain(&error), "the provider's log was not read");
                    failures += 1;
                    error.wait(failures, every)
                }
            };
            pause(&stop, wait).await;
        }
    }

    async fn turn(&self) -> Result<(), RoundError> {
        let (tenant, now) = (&self.tenant, self.tenant.now());
        let since = now - TimeDelta::from_std(tenant.limits().factor_lag * 3).unwrap_or_default();
        if !self.claim.hold().await? {
            return Ok(());
        }
        let waiting = watches::waiting(&tenant.db, tenant.id(), since, now).await?;
        let Some(oldest) = waiting.iter().map(began).min() else { return Ok(()) };
        self.read(oldest - LOOK_BACK).await?;
        self.judge(waiting).await?;
        Ok(())
    }

    /// Reads what is new, a page and the place behind it in one transaction.
    async fn read(&self, from: Timestamp) -> Result<(), RoundError> {
        let tenant = &self.tenant;
        let known = claim::store::log_cursor(&tenant.db, tenant.id()).await?;
        let mut cursor = known.filter(|(_, read_at)| tenant.now() - *read_at < STALE).map(|(cursor, _)| cursor);
        for _ in 0..PAGES {
            let page = match self.fetch(cursor.as_ref(), from).await {
                Err(error) if error.class == ErrorClass::PermanentForAccount && cursor.is_some() => {
                    self.fetch(None, from).await?
                }
                fetched => fetched?,
            };
            let (lines, now) = (lines(&page), tenant.now());
            let kept = now - TimeDelta::from_std(tenant.limits().lease_max * 2).unwrap_or_default();
            let ours = transaction!(tenant.db, "logged_factor.add", async |tx| -> Result<bool, StoreError> {
                store::add(tx, tenant.id(), &lines, now).await?;
                store::forget(tx, tenant.id(), kept).await?;
                claim::store::save_log_cursor(tx, tenant.id(), page.next.as_ref(), tenant.process, now).await
            })?;
            if !ours || !page.more {
                break;
            }
            cursor = page.next;
        }
        Ok(())
    }

    async fn fetch(&self, cursor: Option<&Cursor>, from: Timestamp) -> Result<EventPage, ProviderError> {
        boundary!("provider", "await-enrolment", self.tenant.provider.events_since(cursor, from, Priority::Evidence).await)
    }

    /// Takes what the log says of the waiting accounts as evidence.
    async fn judge(&self, waiting: Vec<Watch>) -> Result<(), StoreError> {
        let (tenant, now) = (&self.tenant, self.tenant.now());
        let accounts: Vec<&AccountId> = waiting.iter().map(|watch| &watch.account).collect();
        let said: HashMap<AccountId, Logged> = store::newest(&tenant.db, tenant.id(), &accounts).await?;
        let mut told: Vec<(Watch, Option<Report>)> = Vec::new();
        for mut watch in waiting {
            let Some(lines) = said.get(&watch.account) else { continue };
            let before = watch.clone();
            let report = watch.log(*lines, now, tenant.limits());
            if watch != before {
                watch.reported_at = if report.is_some() { Some(now) } else { watch.reported_at };
                told.push((watch, report));
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let events = transaction!(tenant.db, "watch.log", async |tx| -> Result<Batch, StoreError> {
            let mut events = tenant.outbox.batch();
            write(tx, &told, &mut events).await?;
            events.store(tx).await?;
            Ok(events)
        })?;
        tenant.outbox.publish(events);
        tenant.watch.notify_one();
        Ok(())
    }
}

/// When the account's stay in the recovery policy began, by the provider's clock if it is told and plausible.
fn began(watch: &Watch) -> Timestamp {
    let seen_out = watch.evidence.seen_out_at;
    let version = watch.evidence.out_version.and_then(|version| Timestamp::from_timestamp_millis(version.0));
    version
        .filter(|version| after(*version, Duration::from_hours(1)) > seen_out)
        .map_or(seen_out, |version| version.min(seen_out))
}

/// What a page says of factors, one line for each account.
fn lines(page: &EventPage) -> Vec<Line> {
    let mut lines = Vec::new();
    for event in &page.events {
        let enrolled = match event.kind {
            EventKind::FactorEnrolled => true,
            EventKind::FactorRemoved => false,
            EventKind::SignedIn | EventKind::PolicyChanged | EventKind::Other => continue,
        };
        let line = |account: &AccountId| Line {
            account: account.clone(),
            event: event.id.clone(),
            enrolled,
            happened_ms: event.at.timestamp_millis(),
        };
        lines.extend(event.subjects.iter().map(line));
    }
    lines
}
