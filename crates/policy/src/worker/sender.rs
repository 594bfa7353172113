//! Sends lends and returns: claim, read the addresses, mark, write, keep the answer. Returns never wait for lends; lends wait
//! for everything that rule 1 asks, and while an account is out past its time.

mod flight;

use std::collections::HashSet;
use std::sync::Arc;

use homeward_store::{StoreError, transaction};
use homeward_types::{LeaseId, MessageId};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{BATCH, FLIGHTS, LANDING, land, rest};
use crate::bells::wait;
use crate::lease::store::{self as leases, Candidate};
use crate::lease::{Kind, earlier};
use crate::organisation;
use crate::site::Site;
use flight::Flight;

/// Sends the organisation's lends until the shutdown.
pub async fn send_lends(site: Arc<Site>, shutdown: CancellationToken) {
    run(site, Kind::Lend, shutdown).await;
}

/// Sends the organisation's returns until the shutdown.
pub async fn send_returns(site: Arc<Site>, shutdown: CancellationToken) {
    run(site, Kind::Return, shutdown).await;
}

async fn run(site: Arc<Site>, kind: Kind, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(FLIGHTS));
    let mut flights = JoinSet::new();
    let mut confirmations = site.ledger().outbox().confirmations();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = site.answers() => {}
        }
        // Nothing is claimed before it can fly: what is ready waits in the database, where returns are sorted by urgency.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        land(&mut flights);
        // From here on every confirm wakes the pause below.
        confirmations.mark_unchanged();
        let go = match take(&site, kind).await {
            Ok(Some(flight)) => {
                flights.spawn(async move {
                    flight.fly().await;
                    drop(permit);
                });
                true
            }
            Ok(None) => {
                drop(permit);
                pause(&site, kind, &mut confirmations, &shutdown).await
            }
            Err(error) => {
                drop(permit);
                rest("taking attempts", &error, &shutdown).await
            }
        };
        if !go {
            break;
        }
    }
    // What is marked is written and answered; nothing new is taken.
    let _ = tokio::time::timeout(LANDING, async { while flights.join_next().await.is_some() {} }).await;
}

/// Waits until there may be something to send.
async fn pause(site: &Site, kind: Kind, confirmations: &mut watch::Receiver<u64>, shutdown: &CancellationToken) -> bool {
    let ledger = site.ledger();
    let Some(bells) = ledger.belfry().of(site.id()) else { return false };
    // What is ready and could not be taken waits for something else than time.
    let next = leases::next_ready(ledger.db(), site.id(), kind).await.ok().flatten().filter(|next| *next > ledger.now());
    match kind {
        Kind::Return => wait(&bells.returns, next, ledger.clock(), shutdown).await,
        Kind::Lend => tokio::select! {
            go = wait(&bells.lend, next, ledger.clock(), shutdown) => go,
            Ok(()) = confirmations.changed() => true,
        },
    }
}

/// Claims what may be sent now.
async fn take(site: &Arc<Site>, kind: Kind) -> Result<Option<Flight>, StoreError> {
    let ledger = site.ledger();
    if kind == Kind::Lend && held_back(site).await? {
        return Ok(None);
    }
    let now = ledger.now();
    let mut found = leases::candidates(ledger.db(), site.id(), kind, now, BATCH).await?;
    if kind == Kind::Lend {
        keep_confirmed(site, &mut found).await?;
    }
    if found.is_empty() {
        return Ok(None);
    }
    let wanted: Vec<(LeaseId, u32)> = found.iter().map(|candidate| (candidate.lease, candidate.number)).collect();
    let token = Uuid::new_v4();
    let until = homeward_types::limits::after(now, site.organisation().limits.claim);
    let claimed: HashSet<(LeaseId, u32)> =
        transaction!(ledger.db(), "attempt.claim", async |tx| -> Result<HashSet<(LeaseId, u32)>, StoreError> {
            Ok(leases::claim(tx, &wanted, token, until, now).await?.into_iter().collect())
        })?;
    found.retain(|candidate| claimed.contains(&(candidate.lease, candidate.number)));
    Ok((!found.is_empty()).then(|| Flight::new(Arc::clone(site), kind, token, found)))
}

/// Lends wait while nothing is to be lent, and while an account is out past its time: its way home comes first. A lease that
/// is returned at its due time is past it for a moment; a probe's length is the difference between the two.
async fn held_back(site: &Site) -> Result<bool, StoreError> {
    let ledger = site.ledger();
    let state = organisation::store::read(ledger.db(), site.id()).await?;
    if state.draining {
        return Ok(true);
    }
    let since = earlier(ledger.now(), site.organisation().limits.probe);
    leases::held_back(ledger.db(), site.id(), since).await
}

/// Rule 1: a lend may be marked `sent` only after the broker confirmed that the lease was told of. (Its line was synced
/// before its row was committed.)
async fn keep_confirmed(site: &Site, found: &mut Vec<Candidate>) -> Result<(), StoreError> {
    let messages: Vec<MessageId> = found.iter().filter_map(|candidate| candidate.opened_message).collect();
    let confirmed = site.ledger().outbox().confirmed(&messages).await?;
    found.retain(|candidate| candidate.opened_message.is_some_and(|message| confirmed.contains(&message)));
    Ok(())
}
