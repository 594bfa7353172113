//! One patrol after another: what is due, page by page, each read back in bulk, each page committed by itself.
//!
//! Of several processes one patrols an organisation at a time, under a claim that it renews with each page: whoever looks first
//! when the next patrol is due.

mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use homeward_messaging::{Batch, Outbox};
use homeward_provider::{IdentityProvider, Priority, ProviderError};
use homeward_store::{Database, StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, Clock, IncidentId, LeaseId, Organisation, OrganisationId, Placement, Timestamp};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::copy::{LeaseCopy, store as copies};
use crate::finding::store::{self as findings, Sums};
use crate::finding::{Finding, Kind, Shown, is_told, judge, sentence};
use crate::keys::KeyWatch;
use crate::others::Others;
use crate::wire;
use store::Claim;

/// Copies in one page.
const PAGE: i64 = 500;
/// The shortest wait between two patrols, whatever is configured.
const LEAST: Duration = Duration::from_millis(50);
/// How long a process that died in the middle of a patrol keeps others from it. Longer than a page takes at a slow provider.
const CLAIM: Duration = Duration::from_secs(20);

/// What patrols are made with.
pub struct Rounds {
    pub(crate) db: Database,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    pub(crate) providers: BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>,
    pub(crate) policy: Others,
    /// This process, in claims.
    pub(crate) process: Uuid,
    pub(crate) keys: KeyWatch,
}

/// Why a patrol broke off. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("patrol's database")]
    Store(#[from] StoreError),
    #[error("the provider")]
    Provider(#[from] ProviderError),
    #[error("another process took the patrol over")]
    TakenOver,
}

/// A page that was read back.
struct Page {
    judged: Vec<(LeaseCopy, Shown)>,
    begun_at: Timestamp,
    now: Timestamp,
}

impl Rounds {
    /// Patrols one organisation until the shutdown.
    pub async fn run(&self, id: &OrganisationId, stop: CancellationToken) {
        let (Some(organisation), Some(provider)) = (self.organisations.get(id), self.providers.get(id)) else { return };
        let usual = organisation.limits.patrol.max(LEAST);
        let mut wait = usual;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = match self.turn(organisation, provider.as_ref()).await {
                Ok(Some(again_at)) => (again_at - self.clock.now()).to_std().unwrap_or_default().clamp(LEAST, usual),
                Ok(None) => usual,
                Err(error) => {
                    tracing::warn!(organisation = %id, error = homeward_chassis::error_chain(&error), "a patrol broke off; the next one begins anew");
                    if let Broken::Provider(error) = &error {
                        self.keys.heard(id, error).await;
                    }
                    usual
                }
            };
        }
    }

    /// Looks at the end of patrol's key until the shutdown.
    pub async fn watch_keys(&self, id: &OrganisationId, stop: CancellationToken) {
        if let Some(provider) = self.providers.get(id) {
            self.keys.run(id, provider.as_ref(), stop).await;
        }
    }

    /// A patrol, unless none is due or another process has the right to: then when to look again.
    async fn turn(&self, organisation: &Organisation, provider: &dyn IdentityProvider) -> Result<Option<Timestamp>, Broken> {
        let (claim, now) = (self.claim(), self.clock.now());
        let taken = transaction!(self.db, "patroller.claim", async |tx| -> Result<Option<Timestamp>, StoreError> {
            store::claim(tx, &organisation.id, claim, now).await
        })?;
        if taken.is_none() {
            self.patrol(organisation, provider).await?;
        }
        Ok(taken)
    }

    fn claim(&self) -> Claim {
        Claim { by: self.process, until: after(self.clock.now(), CLAIM) }
    }

    async fn patrol(&self, organisation: &Organisation, provider: &dyn IdentityProvider) -> Result<(), Broken> {
        let (mut sums, began) = (Sums::default(), self.clock.now());
        loop {
            // What was read is due again later than this patrol began, so each turn takes others.
            let due = copies::due(&self.db, &organisation.id, began, PAGE).await?;
            if due.is_empty() {
                break;
            }
            let read = self.read_back(organisation, provider, due).await?;
            sums.read_back += count(read.judged.len());
            sums.seen_out += count(read.judged.iter().filter(|(_, shown)| shown.out).count());
            sums.overdue +=
                count(read.judged.iter().filter(|(_, shown)| matches!(shown.wrong, Some((Kind::Overdue, _)))).count());
            self.record(organisation, &read).await?;
            self.ask_returns(&read).await;
        }
        let now = self.clock.now();
        let due_at = after(now, organisation.limits.patrol);
        transaction!(self.db, "patrol.done", async |tx| -> Result<(), Broken> {
            if !store::done(tx, &organisation.id, self.process, now, due_at).await? {
                return Err(Broken::TakenOver);
            }
            copies::forget(tx, &organisation.id, now).await?;
            findings::patrolled(tx, &organisation.id, sums, now).await?;
            Ok(())
        })
    }

    /// Reads back what is due, in one bulk read.
    async fn read_back(
        &self,
        organisation: &Organisation,
        provider: &dyn IdentityProvider,
        due: Vec<LeaseCopy>,
    ) -> Result<Page, Broken> {
        let begun_at = self.clock.now();
        let accounts: Vec<AccountId> = due.iter().map(|lease| lease.account.clone()).collect();
        let read = provider.read_placements(&accounts, Priority::Evidence).await?;
        let placements: HashMap<AccountId, Placement> =
            read.into_iter().map(|placement| (placement.account.clone(), placement)).collect();
        // Asked after the read: an account that it shows out may have got its lease just before.
        let held = copies::held(&self.db, &organisation.id, &accounts.iter().collect::<Vec<_>>()).await?;
        let now = self.clock.now();
        let judged = due.into_iter().map(|lease| {
            let shown = judge(organisation, &lease, placements.get(&lease.account), held.contains(&lease.account), now);
            (lease, shown)
        });
        Ok(Page { judged: judged.collect(), begun_at, now })
    }

    /// Commits what a page showed, and tells of what people are to know from now on.
    async fn record(&self, organisation: &Organisation, page: &Page) -> Result<(), Broken> {
        let seen: Vec<copies::Seen> =
            page.judged.iter().map(|(lease, shown)| seen(organisation, lease, shown, page.begun_at)).collect();
        let found: Vec<(Finding, &LeaseCopy, bool)> = page
            .judged
            .iter()
            .filter_map(|(lease, shown)| Some((self.finding(organisation, lease, shown, page.now)?, lease, shown.ask_return)))
            .collect();
        let rows: Vec<Finding> = found.iter().map(|(finding, ..)| finding.clone()).collect();
        let cleared: Vec<(LeaseId, &'static str)> = page.judged.iter().flat_map(|(lease, shown)| cleared(lease, shown)).collect();
        let claim = self.claim();
        let batch = transaction!(self.db, "patrol.record", async |tx| -> Result<Batch, Broken> {
            // What a process read before it was paused is older than what another has read since.
            if !store::renew(tx, &organisation.id, claim).await? {
                return Err(Broken::TakenOver);
            }
            copies::note(tx, &seen, page.now).await?;
            findings::clear(tx, &organisation.id, &cleared).await?;
            let told = findings::add(tx, &rows).await?;
            let mut batch = self.outbox.batch();
            for (finding, lease, asks) in &found {
                if let Some(incident) = told.get(&(finding.lease.uuid(), finding.kind.to_owned())) {
                    let finding = Finding { incident: *incident, ..finding.clone() };
                    tracing::error!(lease = %finding.lease, kind = finding.kind, incident = %incident, "{}", finding.sentence);
                    batch.push(wire::incident(&finding, lease, *asks));
                }
            }
            batch.store(tx).await?;
            Ok(batch)
        })?;
        self.outbox.publish(batch);
        Ok(())
    }

    fn finding(&self, organisation: &Organisation, lease: &LeaseCopy, shown: &Shown, now: Timestamp) -> Option<Finding> {
        let (kind, since) = shown.wrong?;
        Some(Finding {
            organisation: lease.organisation.clone(),
            account: lease.account.clone(),
            lease: lease.id,
            kind: kind.name(),
            sentence: sentence(kind, lease, since),
            since,
            incident: IncidentId::new(&*self.clock),
            tell: is_told(organisation, kind, since, now),
        })
    }

    /// Overdue for too long is rare; so one call for each is no load, and one that fails is tried at the next patrol.
    async fn ask_returns(&self, page: &Page) {
        for (lease, _) in page.judged.iter().filter(|(_, shown)| shown.ask_return) {
            if let Err(refused) = self.policy.ask_return(lease.id).await {
                tracing::error!(lease = %lease.id, %refused, "patrol cannot reach policy about an account that is long overdue");
            }
        }
    }
}

fn seen(organisation: &Organisation, lease: &LeaseCopy, shown: &Shown, begun_at: Timestamp) -> copies::Seen {
    copies::Seen {
        id: lease.id,
        version: lease.version,
        first_seen_out: shown.first_seen_out,
        tail_reads: lease.tails_read(begun_at),
        next_read_at: lease.next_read(&organisation.limits, begun_at, shown.wrong.is_some()),
    }
}

/// The findings that do not hold (any more) for a lease that was read.
fn cleared(lease: &LeaseCopy, shown: &Shown) -> impl Iterator<Item = (LeaseId, &'static str)> {
    let (holds, id) = (shown.wrong.map(|(kind, _)| kind), lease.id);
    let kinds = [Kind::Overdue, Kind::OutAfterClose, Kind::Stray, Kind::Unreadable];
    kinds.into_iter().filter(move |kind| Some(*kind) != holds).map(move |kind| (id, kind.name()))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
