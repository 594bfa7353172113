//! Who holds the address that a move named. Moves are keyed by e-mail: an address that changed hands between our read and the
//! move takes somebody else along.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use homeward_provider::{AccountRecord, Priority, Search};
use homeward_store::{StoreError, transaction};
use homeward_types::{AccountId, Email, IncidentId, LeaseId, Placement, PolicyId, Timestamp};

use crate::incident::Incident;
use crate::lease::store::{self as leases, Sent};
use crate::lease::{Event, Found, Lease, Origin, Subject, Terms};
use crate::ledger::{Changes, Happened};
use crate::lend;
use crate::site::Site;

/// An attempt whose account does not hold the address any more, and who does.
struct Strange<'a> {
    lease: &'a Lease,
    sent: &'a Sent,
    holder: Option<AccountId>,
}

impl Strange<'_> {
    /// Its account was seen out, but another move may have taken it along, as where two that are both lent swap their addresses:
    /// this lend may yet reach the holder.
    fn is_in_doubt(&self, now: Timestamp) -> bool {
        let lend_over = self.sent.taken_until.map(|last_send| self.lease.terms.settled_after(last_send));
        self.holder.is_some() && lend_over.is_some_and(|over| now < over)
    }
}

/// Checks the writes of open leases. Costs nothing where the account still holds the address, or once its move is over and
/// nobody else was found there. Gives the leases of which it cannot be told now whom their write moved, or may yet move: they
/// must not end yet.
pub(super) async fn check(
    site: &Arc<Site>,
    open: &[&Lease],
    placements: &HashMap<AccountId, Placement>,
    sent: &HashMap<LeaseId, Vec<Sent>>,
) -> Result<HashSet<LeaseId>, StoreError> {
    let mut doubtful: Vec<(&Lease, &Sent)> = Vec::new();
    for lease in open {
        let Some(email) = placements.get(&lease.account).and_then(|placement| placement.email.as_ref()) else { continue };
        let unchecked = sent.get(&lease.id).into_iter().flatten().filter(|sent| !sent.holder_checked);
        doubtful.extend(unchecked.filter(|sent| sent.address != *email).map(|sent| (*lease, sent)));
    }
    if doubtful.is_empty() {
        return Ok(HashSet::new());
    }
    let untold = doubtful.iter().map(|(lease, _)| lease.id).collect();
    let addresses: Vec<Email> = doubtful.iter().map(|(_, sent)| sent.address.clone()).collect();
    let found = match site.provider().find_accounts(Search::Emails(&addresses), Priority::Evidence).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "who holds an address that changed hands cannot be read; it is looked at again");
            return Ok(untold);
        }
    };
    let strange: Vec<Strange<'_>> = doubtful
        .into_iter()
        .map(|(lease, sent)| Strange { lease, sent, holder: holder(&found, &sent.address).filter(|h| *h != lease.account) })
        .collect();
    let Some(policies) = policies(site, &strange).await else { return Ok(untold) };
    let now = site.ledger().now();
    keep(site, &strange, &policies, now).await?;
    Ok(strange.iter().filter(|strange| strange.is_in_doubt(now)).map(|strange| strange.lease.id).collect())
}

fn holder(found: &[AccountRecord], address: &Email) -> Option<AccountId> {
    found.iter().find(|record| record.email.as_ref() == Some(address)).map(|record| record.account.clone())
}

/// Where the holders are. `None` if it cannot be read now.
async fn policies(site: &Site, strange: &[Strange<'_>]) -> Option<HashMap<AccountId, Placement>> {
    let holders: Vec<AccountId> = strange.iter().filter_map(|strange| strange.holder.clone()).collect();
    if holders.is_empty() {
        return Some(HashMap::new());
    }
    match site.provider().read_placements(&holders, Priority::Return).await {
        Ok(placements) => Some(placements.into_iter().map(|placement| (placement.account.clone(), placement)).collect()),
        Err(error) => {
            tracing::warn!(%error, "where the holder of an address is cannot be read; it is looked at again");
            None
        }
    }
}

/// A holder in the recovery policy is leased and returned; every case is told, and the address takes no lends for a while.
async fn keep(
    site: &Site,
    strange: &[Strange<'_>],
    policies: &HashMap<AccountId, Placement>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ledger = site.ledger();
    let changes = transaction!(ledger.db(), "lease.adopt", async |tx| -> Result<Changes, StoreError> {
        let mut incidents = Vec::new();
        let mut happened = Vec::new();
        let mut addresses = Vec::new();
        let out: Vec<&AccountId> = strange
            .iter()
            .filter_map(|strange| strange.holder.as_ref())
            .filter(|holder| policy(policies, holder).is_some_and(|policy| *policy == site.organisation().recovery_policy))
            .collect();
        let mut leased: HashSet<AccountId> = leases::open_of_accounts(tx, site.id(), &out).await?.into_keys().collect();
        for strange in strange {
            let Some(holder) = &strange.holder else { continue };
            addresses.push(strange.sent.address.clone());
            let id = IncidentId::new(ledger.clock());
            let place = Some((holder, policy(policies, holder)));
            incidents.push(Incident::unexpected_holder(strange.lease, id, &strange.sent.address, place));
            if out.contains(&holder) && leased.insert(holder.clone()) {
                let home = leases::last_home(tx, site.id(), holder).await?;
                happened.extend(policies.get(holder).and_then(|placement| adopted(site, strange, placement, home)));
            }
        }
        // While the move may still land, its victim is looked for again.
        let checked: Vec<(LeaseId, u32)> = strange
            .iter()
            .filter(|strange| !strange.is_in_doubt(now))
            .filter(|strange| !strange.sent.may_land || strange.holder.as_ref().is_some_and(|holder| out.contains(&holder)))
            .map(|strange| (strange.sent.lease, strange.sent.number))
            .collect();
        leases::set_holder_checked(tx, &checked).await?;
        lend::store::quarantine(tx, site.id(), &addresses, now).await?;
        ledger.apply(tx, &happened, incidents, now).await
    })?;
    ledger.committed(changes);
    Ok(())
}

fn policy<'a>(policies: &'a HashMap<AccountId, Placement>, holder: &AccountId) -> Option<&'a PolicyId> {
    policies.get(holder).and_then(|placement| placement.policy.as_ref())
}

/// The lease of somebody whom our move hit: home is where earlier leases know it from, else the default home.
fn adopted(site: &Site, strange: &Strange<'_>, placement: &Placement, home: Option<PolicyId>) -> Option<Happened> {
    let organisation = site.organisation();
    let found = Found {
        subject: Subject {
            lease: LeaseId::new(site.ledger().clock()),
            organisation: organisation.id.clone(),
            account: placement.account.clone(),
            home: home.filter(|home| organisation.is_home(home)).unwrap_or_else(|| organisation.default_home.clone()),
            recovery_policy: organisation.recovery_policy.clone(),
            terms: Terms::from(&organisation.limits),
        },
        origin: Origin::Adopted,
        policy: placement.policy.clone()?,
        version: placement.version,
        begun_at: placement.begun_at,
        reason: format!("moved in place of account {} under lease {}", strange.lease.account, strange.lease.id),
    };
    Some(Happened::by_policy(found.subject.lease, Event::FoundOut(found)))
}
