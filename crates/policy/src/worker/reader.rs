//! Reads the accounts of leases when they are due, in bulk, and hands what was seen to the lease. While the provider is silent
//! it probes with one account.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use homeward_chassis::boundary;
use homeward_provider::{Presence, Priority, TaskId};
use homeward_store::{StoreError, transaction};
use homeward_types::limits::after;
use homeward_types::{AccountId, LeaseId, Placement, Timestamp, VersionTrust};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answers::{self, Written};
use super::gather::Gathering;
use super::{BATCH, FLIGHTS, FULL, LANDING, holders, judge, land, rest};
use crate::lease::store::{self as leases, Kept, Sent};
use crate::lease::{Event, Lease, LookKind, Place, Reading, State};
use crate::ledger::{Happened, Outcome};
use crate::organisation;
use crate::site::Site;

/// Reads the organisation's accounts until the shutdown.
pub async fn read_accounts(site: Arc<Site>, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(FLIGHTS));
    let mut flights = JoinSet::new();
    let mut gathering = Gathering::default();
    loop {
        if site.is_silent() && !probe(&site, &shutdown).await {
            break;
        }
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        land(&mut flights);
        let Some(bells) = site.ledger().belfry().of(site.id()) else { break };
        let go = match leases::reads_due(site.ledger().db(), site.id(), site.ledger().now(), BATCH).await {
            Ok(0) => {
                drop(permit);
                let next = leases::next_read(site.ledger().db(), site.id()).await.ok().flatten();
                bells.read.wait(next, site.ledger().clock(), &shutdown).await
            }
            Ok(due) if !gathering.goes(due, FULL, &flights) => {
                drop(permit);
                gathering.wait(&mut flights, &bells.read, &shutdown).await
            }
            Ok(_) => launch(&site, permit, &mut flights, &shutdown).await,
            Err(error) => {
                drop(permit);
                rest("looking for reads", &error, &shutdown).await
            }
        };
        if !go {
            break;
        }
    }
    let _ = tokio::time::timeout(LANDING, async { while flights.join_next().await.is_some() {} }).await;
}

/// Takes what is due and reads it. False if the shutdown came meanwhile.
async fn launch(site: &Arc<Site>, permit: OwnedSemaphorePermit, flights: &mut JoinSet<()>, shutdown: &CancellationToken) -> bool {
    match take(site).await {
        Ok(due) => {
            let site = Arc::clone(site);
            flights.spawn(async move {
                if let Err(error) = look(&site, due).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "what was read cannot be kept; it is read again");
                }
                drop(permit);
            });
            !shutdown.is_cancelled()
        }
        Err(error) => {
            drop(permit);
            rest("taking reads", &error, shutdown).await
        }
    }
}

/// Takes leases that are due to be read, and puts them off for the case that this worker dies.
async fn take(site: &Site) -> Result<Vec<Kept>, StoreError> {
    let ledger = site.ledger();
    transaction!(ledger.db(), "lease.take_reads", async |tx| -> Result<Vec<Kept>, StoreError> {
        let now = ledger.now();
        let until = after(now, site.organisation().limits.client_timeout);
        leases::due_reads(tx, site.id(), now, until, BATCH).await
    })
}

/// Asks a silent provider for one account, again and again, until it answers. False if the shutdown came first.
async fn probe(site: &Site, shutdown: &CancellationToken) -> bool {
    while site.is_silent() {
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(site.organisation().limits.probe) => {}
        }
        let account = match leases::most_urgent(site.ledger().db(), site.id()).await {
            Ok(Some(account)) => account,
            // Nobody is out: the next lend finds out by itself.
            Ok(None) => return true,
            Err(_) => continue,
        };
        let read = site.provider().read_placements(std::slice::from_ref(&account), Priority::Return).await;
        site.heard(read.as_ref().err()).await;
    }
    true
}

/// Reads one batch and keeps what was seen.
async fn look(site: &Arc<Site>, due: Vec<Kept>) -> Result<(), StoreError> {
    if due.is_empty() {
        return Ok(()); // another process was faster
    }
    let ledger = site.ledger();
    let returning = due.iter().any(|kept| matches!(kept.lease.state, State::Closing | State::Settling));
    let priority = if returning { Priority::Return } else { Priority::Evidence };
    let accounts: Vec<AccountId> = due.iter().map(|kept| kept.lease.account.clone()).collect();
    let read = boundary!("provider", "read", site.provider().read_placements(&accounts, priority).await);
    site.heard(read.as_ref().err()).await;
    let placements: HashMap<AccountId, Placement> = match read {
        Ok(placements) => placements.into_iter().map(|placement| (placement.account.clone(), placement)).collect(),
        Err(error) => {
            tracing::warn!(%error, accounts = accounts.len(), "accounts cannot be read");
            let ids: Vec<LeaseId> = due.iter().map(|kept| kept.lease.id).collect();
            let wait = error.retry_after().unwrap_or_default().max(site.organisation().limits.return_retry);
            let until = after(ledger.now(), wait);
            return transaction!(ledger.db(), "lease.postpone_reads", async |tx| -> Result<(), StoreError> {
                leases::postpone_reads(tx, &ids, until).await
            });
        }
    };
    // An active one, too: a person who moves its account home by hand ends it, and its lend may yet reach another holder.
    let open: Vec<&Lease> = due.iter().map(|kept| &kept.lease).filter(|lease| lease.is_open()).collect();
    let ids: Vec<LeaseId> = open.iter().map(|lease| lease.id).collect();
    let sent = leases::all_sent(ledger.db(), &ids).await?;
    // First who else was moved: a lease that has ended is not asked about it any more.
    let untold = holders::check(site, &open, &placements, &sent).await?;
    let trust = organisation::store::read(ledger.db(), site.id()).await?.trust;
    let unmentioned = due.iter().map(|kept| &kept.lease).filter(|lease| !placements.contains_key(&lease.account));
    let mut looked_for = look_for(site, &unmentioned.collect::<Vec<_>>(), trust).await;
    let mut happened = Vec::new();
    for kept in &due {
        happened.extend(home_lost(site, &kept.lease));
        let event = match placements.get(&kept.lease.account) {
            Some(placement) if untold.contains(&kept.lease.id) && !is_out(site, placement) => None,
            Some(placement) => Some(Event::Read { reading: Reading::of(placement, site.organisation(), &kept.lease), trust }),
            None => looked_for.remove(&kept.lease.id),
        };
        happened.extend(event.map(|event| Happened::by_policy(kept.lease.id, event)));
    }
    let outcomes = ledger.turn("lease.read", &happened).await?;
    judge::first_moves(site, &outcomes).await?;
    follow_up(site, &open, &sent, &outcomes).await
}

/// Whether the account is where lends take it. Only a read that shows it elsewhere can end a lease.
fn is_out(site: &Site, placement: &Placement) -> bool {
    placement.policy.as_ref() == Some(&site.organisation().recovery_policy)
}

/// The mandatory set is the one limit that a lease does not keep.
fn home_lost(site: &Site, lease: &Lease) -> Option<Happened> {
    let organisation = site.organisation();
    let lost = lease.is_open() && !organisation.is_home(&lease.home) && lease.home != organisation.default_home;
    lost.then(|| Happened::by_policy(lease.id, Event::HomeLost { default_home: organisation.default_home.clone() }))
}

/// The bulk read did not mention these accounts: one of two different calls looks for each, as many at once as the provider
/// takes. An error says nothing of its account, and nothing of the others.
async fn look_for(site: &Site, unmentioned: &[&Lease], trust: VersionTrust) -> HashMap<LeaseId, Event> {
    let begun_at = site.ledger().now();
    let mut events = HashMap::with_capacity(unmentioned.len());
    for kind in [LookKind::Search, LookKind::Itself] {
        let leases: Vec<&&Lease> = unmentioned.iter().filter(|lease| next_look(lease, begun_at) == kind).collect();
        if leases.is_empty() {
            continue;
        }
        let accounts: Vec<AccountId> = leases.iter().map(|lease| lease.account.clone()).collect();
        let seen = site.provider().presence(&accounts, kind.into(), Priority::Evidence).await;
        let seen: HashMap<AccountId, _> = seen.into_iter().map(|sighting| (sighting.account, sighting.presence)).collect();
        events.extend(leases.into_iter().filter_map(|lease| {
            let event = match seen.get(&lease.account)? {
                Ok(Presence::NotFound | Presence::NotManaged) => Event::Missed { look: kind, begun_at },
                Ok(Presence::Managed) => {
                    Event::Read { reading: Reading { place: Place::Nowhere, version: None, begun_at }, trust }
                }
                Err(error) => {
                    tracing::warn!(%error, lease = %lease.id, "whether an account is still there cannot be said");
                    return None;
                }
            };
            Some((lease.id, event))
        }));
    }
    events
}

/// The call that can complete the proof that an account is gone.
pub fn next_look(lease: &Lease, now: Timestamp) -> LookKind {
    let missed = lease.sight.missed;
    match (missed.search_at, missed.itself_at) {
        (Some(search), _) if now >= after(search, lease.terms.gone_apart) => LookKind::Itself,
        (Some(_) | None, _) => LookKind::Search,
    }
}

/// What the read did not show although it was expected: does the provider's task say why?
async fn follow_up(
    site: &Site,
    open: &[&Lease],
    sent: &HashMap<LeaseId, Vec<Sent>>,
    outcomes: &[Outcome],
) -> Result<(), StoreError> {
    let now_in: HashMap<LeaseId, &State> =
        outcomes.iter().filter_map(|outcome| outcome.kept.as_ref()).map(|kept| (kept.lease.id, &kept.lease.state)).collect();
    let still: Vec<&Sent> = open
        .iter()
        .filter(|lease| lease.state != State::Active && now_in.get(&lease.id).is_some_and(|state| **state == lease.state))
        .filter_map(|lease| sent.get(&lease.id)?.last())
        .filter(|sent| sent.unresolved)
        .collect();
    let accounts: HashMap<LeaseId, &AccountId> = open.iter().map(|lease| (lease.id, &lease.account)).collect();
    ask_tasks(site, &still, &accounts).await
}

/// Asks each task once what became of those whose move does not show. Only a failure that is named proves something.
async fn ask_tasks(site: &Site, still: &[&Sent], accounts: &HashMap<LeaseId, &AccountId>) -> Result<(), StoreError> {
    let mut tasks: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
    for sent in still {
        if let Some(task) = &sent.task {
            tasks.entry(task).or_default().push(sent);
        }
    }
    let mut happened = Vec::new();
    for (task, attempts) in tasks {
        let report = match site.provider().poll_task(&TaskId::new(task), Priority::Evidence).await {
            Ok(Some(report)) => report,
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(%error, "a task cannot be asked");
                continue;
            }
        };
        for sent in attempts {
            let Some(answer) = answers::failed_in_task(&report, &sent.address) else { continue };
            let Some(account) = accounts.get(&sent.lease) else { continue };
            let attempt = Written { lease: sent.lease, number: sent.number, account: (*account).clone() };
            happened.push(answers::answered(&attempt, answer, None, site.ledger().now()));
        }
    }
    site.ledger().turn("attempt.task", &happened).await.map(drop)
}
