//! The loop that reads factors: whoever is due, in bulk; then one transaction with what was seen and what it means.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_messaging::Batch;
use homeward_provider::{FactorReading, Holder, Priority, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::{after, backoff};
use homeward_types::{AccountId, LeaseId, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::{Report, Watch, gathering, interval, store};
use crate::tenant::{Tenant, pause};
use crate::wire;

/// Most accounts in one round.
const MOST: i64 = 2_000;
/// How often it is looked for watches that another process has taken in, and for another process that died.
const LOOK: Duration = Duration::from_secs(1);
/// Watches that are over are kept for so long, so that a late repeat of their command does not open them again.
const KEEP: Duration = Duration::from_mins(10);
/// How often they are looked for.
const TIDY: Duration = Duration::from_mins(1);

/// Why a round stopped. Nothing of it took effect.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The database is in trouble.
    #[error("the database")]
    Store(#[from] StoreError),
    /// The provider did not do what it was asked.
    #[error("the provider")]
    Provider(#[from] ProviderError),
}

impl RoundError {
    /// How long to wait after `failures` of them in a row.
    pub fn wait(&self, failures: u32, first: Duration) -> Duration {
        let wait = backoff(first.max(Duration::from_millis(50)), Duration::from_secs(10), failures);
        match self {
            Self::Store(_) => wait,
            Self::Provider(error) => error.retry_after().unwrap_or_default().max(wait),
        }
    }
}

/// The loop of one organisation.
pub struct Rounds {
    tenant: Arc<Tenant>,
    claim: Arc<Claim>,
    watched: AtomicU64,
}

impl Rounds {
    /// A loop that has not started.
    pub fn new(tenant: Arc<Tenant>, claim: Arc<Claim>) -> Self {
        Self { tenant, claim, watched: AtomicU64::new(0) }
    }

    /// Watches until the shutdown.
    pub async fn run(&self, stop: CancellationToken) {
        let (mut failures, mut tidied) = (0, Instant::now());
        let gathering = gathering(self.tenant.limits());
        while !stop.is_cancelled() {
            let began = Instant::now();
            let turn = tokio::select! {
                () = stop.cancelled() => return,
                turn = self.turn() => turn,
            };
            match turn {
                Ok(first) => {
                    failures = 0;
                    let wait = first.map_or(LOOK, |first| self.tenant.until(first)).min(LOOK);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.tenant.watch.notified() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    tokio::time::sleep_until(began + gathering).await;
                }
                Err(error) => {
                    tracing::warn!(organisation = %self.tenant.id(), error = homeward_chassis::error_chain(&error), "a round of watching failed");
                    pause(&stop, error.wait(failures, self.tenant.limits().watch)).await;
                    failures += 1;
                }
            }
            if tidied.elapsed() > TIDY {
                tidied = Instant::now();
                self.tidy().await;
            }
        }
    }

    /// One round. Gives when the next account is due; `None` when no account is.
    async fn turn(&self) -> Result<Option<Timestamp>, RoundError> {
        let tenant = &self.tenant;
        if !self.claim.hold().await? {
            return Ok(None);
        }
        let due = store::due(&tenant.db, tenant.id(), tenant.now(), MOST).await?;
        if !due.is_empty() {
            let readings = self.read(&due).await?;
            self.take_in(due, readings).await?;
        }
        let schedule = store::schedule(&tenant.db, tenant.id(), tenant.now()).await?;
        self.watched.store(u64::try_from(schedule.watched).unwrap_or(0), Ordering::Relaxed);
        Ok(schedule.first)
    }

    async fn read(&self, due: &[Watch]) -> Result<Vec<FactorReading>, ProviderError> {
        let holders: Vec<Holder> =
            due.iter().map(|watch| Holder { account: watch.account.clone(), email: watch.email.clone() }).collect();
        let read =
            boundary!("provider", "await-enrolment", self.tenant.provider.read_factors(&holders, Priority::Evidence).await);
        self.tenant.silence.heard(self.tenant.id(), &read).await;
        read
    }

    /// Writes what was seen, and reports what it means.
    async fn take_in(&self, due: Vec<Watch>, readings: Vec<FactorReading>) -> Result<(), StoreError> {
        let (tenant, now) = (&self.tenant, self.tenant.now());
        let readings: HashMap<AccountId, FactorReading> =
            readings.into_iter().map(|reading| (reading.account.clone(), reading)).collect();
        let interval = interval(self.watched.load(Ordering::Relaxed), tenant.limits());
        let mut told: Vec<(Watch, Option<Report>)> = Vec::new();
        let mut idle: Vec<LeaseId> = Vec::new();
        for mut watch in due {
            let Some(reading) = readings.get(&watch.account) else {
                idle.push(watch.lease);
                continue;
            };
            let before = watch.clone();
            let report = watch.read(reading.factor, reading.begun_at, interval, tenant.limits());
            if let Some(email) = reading.record.as_ref().and_then(|record| record.email.clone()) {
                watch.email = Some(email);
            }
            watch.reported_at = if report.is_some() { Some(now) } else { watch.reported_at };
            if watch.says_as_much_as(&before) { idle.push(watch.lease) } else { told.push((watch, report)) }
        }
        let _mark = boundary!("commit", "await-enrolment");
        let events = transaction!(tenant.db, "watch.round", async |tx| -> Result<Batch, StoreError> {
            store::postpone(tx, &idle, after(now, interval)).await?;
            let mut events = tenant.outbox.batch();
            write(tx, &told, &mut events).await?;
            events.store(tx).await?;
            Ok(events)
        })?;
        tenant.outbox.publish(events);
        Ok(())
    }

    async fn tidy(&self) {
        let tenant = &self.tenant;
        let before = tenant.now() - chrono::TimeDelta::from_std(KEEP).unwrap_or_default();
        let forgotten = transaction!(tenant.db, "watch.forget", async |tx| -> Result<u64, StoreError> {
            store::forget(tx, tenant.id(), before).await
        });
        match forgotten {
            Ok(forgotten) => tracing::debug!(organisation = %tenant.id(), forgotten, "forgot watches that are over"),
            Err(error) => tracing::warn!(error = homeward_chassis::error_chain(&error), "cannot forget watches that are over"),
        }
    }
}

/// Writes what is new of watches, and adds the reports of those whose row was still the one that was read.
pub async fn write(tx: &mut homeward_store::Tx, told: &[(Watch, Option<Report>)], events: &mut Batch) -> Result<(), StoreError> {
    let rows: Vec<&Watch> = told.iter().map(|(watch, _)| watch).collect();
    let written: std::collections::HashSet<LeaseId> = store::update(tx, &rows).await?.into_iter().collect();
    for (watch, report) in told {
        if let Some(event) = report.filter(|_| written.contains(&watch.lease)).and_then(|report| wire::report(watch, report)) {
            events.push(event);
        }
    }
    Ok(())
}
