//! Sends lends and returns: claim, read the addresses, mark, write, keep the answer. Returns never wait for lends; lends wait
//! for everything that rule 1 asks, and while an account is out past its time.

mod flight;

use std::collections::HashSet;
use std::sync::Arc;

use homeward_provider::Capabilities;
use homeward_store::{StoreError, transaction};
use homeward_types::{LeaseId, MessageId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::gather::Gathering;
use super::{FLIGHTS, LANDING, land, rest};
use crate::bells::{Bell, Bells};
use crate::lease::store::{self as leases, Candidate};
use crate::lease::{Kind, earlier};
use crate::organisation;
use crate::site::Site;
use flight::Flight;

/// Leases in one batch at most; how many it is depends on what the provider takes ([`full`]).
const MOST: usize = 200;

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
    let mut gathering = Gathering::default();
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
        let full = full(&site.provider().capabilities());
        let go = match find(&site, kind, full).await {
            Ok(Found { now, unconfirmed }) if now.is_empty() => {
                drop(permit);
                let confirmations = unconfirmed.then_some(&mut confirmations);
                pause(&site, kind, confirmations, &shutdown).await
            }
            Ok(Found { now: found, .. }) if !gathering.goes(found.len(), full, &flights) => {
                drop(permit);
                let Some(bells) = site.ledger().belfry().of(site.id()) else { break };
                gathering.wait(&mut flights, bell(bells, kind), &shutdown).await
            }
            Ok(Found { now: found, .. }) => launch(&site, kind, found, permit, &mut flights, &shutdown).await,
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

/// Claims what was found and sends it on its way. False if the shutdown came meanwhile.
async fn launch(
    site: &Arc<Site>,
    kind: Kind,
    found: Vec<Candidate>,
    permit: OwnedSemaphorePermit,
    flights: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> bool {
    match claim(site, kind, found).await {
        Ok(Some(flight)) => {
            flights.spawn(async move {
                flight.fly().await;
                drop(permit);
            });
            true
        }
        // Another process was faster.
        Ok(None) => true,
        Err(error) => {
            drop(permit);
            rest("claiming attempts", &error, shutdown).await
        }
    }
}

/// Waits until there may be something to send; with `confirmations` also until the broker has confirmed something.
async fn pause(site: &Site, kind: Kind, confirmations: Option<&mut watch::Receiver<u64>>, shutdown: &CancellationToken) -> bool {
    let ledger = site.ledger();
    let Some(bells) = ledger.belfry().of(site.id()) else { return false };
    // What is ready and could not be taken waits for something else than time.
    let next = leases::next_ready(ledger.db(), site.id(), kind).await.ok().flatten().filter(|next| *next > ledger.now());
    let woken = bell(bells, kind).wait(next, ledger.clock(), shutdown);
    match confirmations {
        None => woken.await,
        Some(confirmations) => tokio::select! {
            go = woken => go,
            Ok(()) = confirmations.changed() => true,
        },
    }
}

/// How many leases, at most [`MOST`], take the fewest calls for each: a batch has its addresses read and is then moved, both in
/// as many calls as the provider makes it take. Where it takes 99 in a move, two hundred would take three moves, and 198 two.
fn full(can: &Capabilities) -> usize {
    let calls = |leases: usize| leases.div_ceil(can.placement_batch.max(1)) + leases.div_ceil(can.move_batch.max(1));
    let fewer = |best: usize, leases: usize| if calls(leases) * best <= calls(best) * leases { leases } else { best };
    (1..=MOST).fold(1, fewer)
}

fn bell(bells: &Bells, kind: Kind) -> &Bell {
    match kind {
        Kind::Return => &bells.returns,
        Kind::Lend => &bells.lend,
    }
}

/// What there is to send.
#[derive(Default)]
struct Found {
    now: Vec<Candidate>,
    /// Whether lends wait for the broker to confirm that their lease was told of.
    unconfirmed: bool,
}

/// What may be sent now, at most so many.
async fn find(site: &Site, kind: Kind, full: usize) -> Result<Found, StoreError> {
    let ledger = site.ledger();
    if kind == Kind::Lend && held_back(site).await? {
        return Ok(Found::default());
    }
    // Of the lends, some are not confirmed yet: those behind them fill the batch.
    let many = if kind == Kind::Lend { 2 * full } else { full };
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    let mut found = leases::candidates(ledger.db(), site.id(), kind, ledger.now(), many).await?;
    let all = found.len();
    if kind == Kind::Lend {
        keep_confirmed(site, &mut found).await?;
    }
    let unconfirmed = found.len() < all;
    found.truncate(full);
    Ok(Found { now: found, unconfirmed })
}

/// Claims what was found, as far as nobody else did.
async fn claim(site: &Arc<Site>, kind: Kind, mut found: Vec<Candidate>) -> Result<Option<Flight>, StoreError> {
    let (ledger, now) = (site.ledger(), site.ledger().now());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_full_calls_make_it() {
        let size = |move_batch, placement_batch| full(&Capabilities { move_batch, placement_batch, ..Capabilities::default() });
        assert_eq!(size(100, 100), 200);
        assert_eq!(size(99, 100), 198, "two moves and two reads");
        assert_eq!(size(96, 100), 192);
        assert_eq!(size(75, 100), 200, "three moves and two reads are fewer for each than two and two of 150");
        assert_eq!(size(58, 100), 174);
        assert_eq!(size(50, 100), 200);
        assert_eq!(size(1_000, 1_000), 200);
        assert_eq!(size(1, 1), 200);
        assert_eq!(size(0, 0), 200, "nonsense of an adapter harms nobody");
    }
}
