//! Case repair: slowly compares cases with policy's leases, and mends either side's missed news. Counts slots anew, learns
//! the exposure cap, asks again for accounts to be disabled.

mod restored;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::rpc::Refused;
use homeward_chassis::telemetry::TraceContext;
use homeward_saga::{Arrival, Handled, Progress, SubmitError};
use homeward_store::{StoreError, transaction};
use homeward_types::{Factor, LeaseId, Organisation, PersonId, RecoveryId, Tier};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::case::{Found, Opening};
use crate::grant::token_hash;
use crate::others::KnownLease;
use crate::parts::Shared;
use crate::saga::RecoverySaga;
use crate::saga::data::{Data, Leave, Terms};
use crate::saga::input::Input;
use crate::{case, containment, domain, slot};

/// Cases compared at a time.
const PAGE: i64 = 500;

/// Leases asked for one by one in a round: those that policy should know and does not list. The next round goes on.
const ONE_BY_ONE: usize = 100;

/// A command that was asked again so often without an answer may have been answered to nobody.
const UNANSWERED: u32 = 2;

/// The least time between two looks at the exposure cap while somebody waits.
const LINE: Duration = Duration::from_secs(1);

/// Who asked for a case that was lost.
const NOBODY: &str = "homeward";

/// Why a round was not finished. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("another service: {0}")]
    Other(#[from] Refused),
    #[error("the database")]
    Store(#[from] StoreError),
    #[error("the sagas")]
    Submit(#[from] SubmitError),
}

/// The slow loop.
pub(crate) struct Repair {
    pub(crate) shared: Arc<Shared>,
    pub(crate) every: Duration,
}

impl Repair {
    /// Repairs until the shutdown. Trouble is reported once, and the next round tries again.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut well = true;
        loop {
            let rounds = self.round().await;
            report(&rounds, &mut well);
            let next = tokio::time::sleep(self.every);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = &mut next => break,
                    () = self.shared.waiting.notified() => self.look_at_the_lines().await,
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(LINE) => {}
                }
            }
        }
    }

    /// One round over everything.
    pub(crate) async fn round(&self) -> Result<(), RepairError> {
        let mut first = self.compare_numbers().await;
        for organisation in self.shared.organisations.values() {
            // One organisation's provider or database row must not keep the others from being looked at.
            first = first.and(self.organisation(organisation).await);
        }
        first.and(self.containments().await)
    }

    async fn organisation(&self, organisation: &Organisation) -> Result<(), RepairError> {
        let open = self.shared.others.open_leases(&organisation.id).await?;
        let ours = self.cases(organisation, &open).await?;
        let wrong = transaction!(self.shared.db, "slot.recount", async |tx| -> Result<i64, StoreError> {
            slot::store::recount(tx, &organisation.id).await
        })?;
        if wrong != 0 {
            tracing::warn!(organisation = %organisation.id, slots = wrong, "the counter of slots was wrong and was set to what is held");
        }
        let outside = self.outside(organisation, open.len(), ours).await?;
        self.learn(organisation, Some(outside)).await
    }

    /// Somebody waits for a slot: perhaps there are more by now.
    async fn look_at_the_lines(&self) {
        for organisation in self.shared.organisations.values() {
            if let Err(error) = self.learn(organisation, None).await {
                tracing::debug!(organisation = %organisation.id, error = &error as &dyn Error, "cannot learn the exposure cap now");
            }
        }
    }

    /// How many accounts are out without a case of ours.
    async fn outside(&self, organisation: &Organisation, open: usize, ours: usize) -> Result<i64, RepairError> {
        let out = self.shared.others.out_now(&organisation.id).await?;
        let (open, ours) = (i64::try_from(open).unwrap_or(i64::MAX), i64::try_from(ours).unwrap_or(i64::MAX));
        Ok(out.max(open).saturating_sub(ours).max(0))
    }

    /// Learns how many accounts may be out, and serves the line.
    async fn learn(&self, organisation: &Organisation, outside: Option<i64>) -> Result<(), RepairError> {
        let accounts = self.shared.others.accounts(&organisation.id).await?;
        let cap = i64::try_from(organisation.limits.exposure_cap(accounts)).unwrap_or(i64::MAX);
        let now = self.shared.clock.now();
        let served = transaction!(self.shared.db, "slot.learn", async |tx| -> Result<Vec<Uuid>, StoreError> {
            slot::store::learn(tx, &organisation.id, cap, outside, now).await
        })?;
        // If we die before this, the saga asks again and is told then.
        self.shared.coordinator.submit(served.into_iter().map(|id| Arrival::input(id, Input::SlotTaken)).collect()).await?;
        Ok(())
    }

    /// Compares every open case with policy's open leases, and every open lease with our cases. Answers how many of the
    /// open leases have a case here.
    async fn cases(&self, organisation: &Organisation, open: &[KnownLease]) -> Result<usize, RepairError> {
        let leases: BTreeMap<Uuid, &KnownLease> = open.iter().map(|lease| (lease.id.uuid(), lease)).collect();
        let mut missed: Vec<Arrival<RecoverySaga>> = Vec::new();
        let mut unlisted = Vec::new();
        let mut ours = BTreeSet::new();
        let mut after = Uuid::nil();
        loop {
            let ids = case::store::open_ids(&self.shared.db, &organisation.id, after, PAGE).await?;
            let Some(last) = ids.last() else { break };
            after = *last;
            for (id, seen) in self.shared.coordinator.read(&ids).await? {
                match leases.get(&id) {
                    Some(lease) => {
                        ours.insert(id);
                        missed.extend(newer(&seen.progress, lease).map(|input| Arrival::input(id, input)));
                    }
                    None if wants_an_answer(&seen.progress) => unlisted.push(id),
                    None => {}
                }
            }
        }
        missed.extend(self.one_by_one(&unlisted).await?);
        let strangers: Vec<&KnownLease> = open.iter().filter(|lease| lease.is_lent && !ours.contains(&lease.id.uuid())).collect();
        let told = strangers.iter().map(|lease| Arrival::input(lease.id.uuid(), Input::Lease(lease.fact.clone())));
        let handled = self.shared.coordinator.submit(told.collect()).await?;
        let (lost, known): (Vec<_>, Vec<_>) = strangers.into_iter().zip(handled).partition(|(_, handled)| is_missing(handled));
        self.adopt(organisation, lost.into_iter().map(|(lease, _)| lease).collect()).await?;
        if !missed.is_empty() {
            tracing::info!(organisation = %organisation.id, cases = missed.len(), "case repair tells cases of news that they had missed");
        }
        self.shared.coordinator.submit(missed).await?;
        Ok(ours.len() + known.len())
    }

    /// What policy knows of leases that it does not list as open: closed, or never heard of.
    async fn one_by_one(&self, ids: &[Uuid]) -> Result<Vec<Arrival<RecoverySaga>>, RepairError> {
        let mut news = Vec::new();
        for id in ids.iter().take(ONE_BY_ONE) {
            if let Some(lease) = self.shared.others.lease(LeaseId::from_uuid(*id)).await? {
                news.push(Arrival::input(*id, Input::Lease(lease.fact)));
            }
        }
        Ok(news)
    }

    /// Leases that were opened for cases which this database does not know any more: it was restored from a backup.
    /// Each becomes a case again, and goes straight home.
    async fn adopt(&self, organisation: &Organisation, lost: Vec<&KnownLease>) -> Result<(), RepairError> {
        for chunk in lost.chunks(100) {
            let queries = chunk.iter().map(|lease| lease.account.to_string()).collect();
            let found = self.shared.others.find(&organisation.id, queries).await?;
            let arrivals = chunk.iter().zip(found).filter_map(|(lease, found)| {
                let account = found.matches.into_iter().find(|account| account.account == lease.account);
                let (email, name) = account.map(|account| (account.email, account.name)).unzip();
                self.adopted(organisation, lease, email, name.unwrap_or_default())
            });
            let arrivals: Vec<_> = arrivals.collect();
            tracing::error!(organisation = %organisation.id, leases = arrivals.len(), "policy holds leases of cases that are lost here; they are brought home");
            self.shared.coordinator.submit(arrivals).await?;
        }
        Ok(())
    }

    fn adopted(
        &self,
        organisation: &Organisation,
        lease: &KnownLease,
        email: Option<homeward_types::Email>,
        name: String,
    ) -> Option<Arrival<RecoverySaga>> {
        let id: RecoveryId = lease.id.into();
        let nobody: PersonId = NOBODY.parse().ok()?;
        let mut data = Data::new(organisation.id.clone(), lease.account.clone(), nobody, Terms::of(organisation, Tier::High));
        data.lease = Some(lease.fact.clone());
        data.leave = Some(Leave::CaseLost);
        data.opening = Some(Arc::new(Opening {
            requested_at: self.shared.clock.now(),
            email,
            name,
            reason: String::new(),
            idempotency_key: None,
            prefilled_from: None,
            found: Found {
                code: "case_lost".into(),
                home: lease.home.parse().unwrap_or_else(|_| organisation.default_home.clone()),
                factor: lease.fact.factor.unwrap_or(Factor::Unknown),
                recent_requests: 0,
                repudiated_before: false,
                diagnosis_hash: String::new(),
            },
            not_me_hash: token_hash(&self.shared.key.not_me_token(id)),
        }));
        Some(Arrival::New { id: id.uuid(), data, trace: TraceContext::current() })
    }

    /// Asks policy again for accounts that are to be disabled and are not yet.
    async fn containments(&self) -> Result<(), RepairError> {
        let now = self.shared.clock.now();
        let wanted = containment::store::unanswered(&self.shared.db, now - self.every, PAGE).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = wanted.iter().map(|wanted| wanted.recovery.uuid()).collect();
        let sagas = self.shared.coordinator.read(&ids).await?;
        let batch =
            transaction!(self.shared.db, "containment.ask", async |tx| -> Result<homeward_messaging::Batch, StoreError> {
                let mut batch = self.shared.outbox.batch();
                containment::store::asked_again(tx, &ids, now).await?;
                for wanted in &wanted {
                    let trace = sagas.get(&wanted.recovery.uuid()).map(|seen| seen.trace.clone()).unwrap_or_default();
                    batch.push(domain::contain(wanted, &trace));
                }
                batch.store(tx).await?;
                Ok(batch)
            })?;
        self.shared.outbox.publish(batch);
        Ok(())
    }
}

fn report(round: &Result<(), RepairError>, well: &mut bool) {
    match round {
        Ok(()) => *well = true,
        // Once for each time of trouble.
        Err(error) if *well => {
            *well = false;
            tracing::warn!(error = error as &dyn Error, "case repair could not finish a round; it tries again");
        }
        Err(_) => {}
    }
}

/// What policy knows and the case does not.
fn newer(progress: &Progress<Data>, lease: &KnownLease) -> Option<Input> {
    let known = progress.data.lease.as_ref().map(|lease| lease.version);
    known.is_none_or(|known| known < lease.fact.version).then(|| Input::Lease(lease.fact.clone()))
}

/// Whether policy must know something of this case's lease that the case has not heard.
fn wants_an_answer(progress: &Progress<Data>) -> bool {
    let data = &progress.data;
    let believes_open = data.is_lease_open();
    let waits_in_vain = data.granted_at.is_some() && data.lease.is_none() && progress.asked_again >= UNANSWERED;
    believes_open || waits_in_vain
}

fn is_missing(handled: &Handled<RecoverySaga>) -> bool {
    match handled {
        Handled::Missing => true,
        Handled::Done { .. } | Handled::Unknown(_) | Handled::Refused(_) => false,
    }
}
