//! Leases that the file outside the database knows and the database does not: it was restored from a backup, or a crash came
//! between the line and the row. Accounts that are out are leased again under the same id; the others were never lent.

use std::collections::{BTreeMap, HashMap, HashSet};

use homeward_provider::Priority;
use homeward_store::{StoreError, transaction};
use homeward_types::{AccountId, LeaseId, OrganisationId, Placement};
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::lease::store as leases;
use crate::lease::{Event, Found, Origin, Subject, Terms};
use crate::ledger::{Changes, Happened, Ledger, POLICY};
use crate::opening_log::Line;
use crate::site::{Site, Sites};

/// Leases looked up at once.
const PART: usize = 100;

/// Compares the file with the database. Where a lease ended after the backup, that is noticed at once; what is given back are
/// openings without a row.
pub(crate) async fn look(ledger: &Ledger) -> Result<Vec<Line>, StartError> {
    let mut open = Vec::new();
    for organisation in ledger.organisations().keys() {
        let mut after = None;
        loop {
            let ids = leases::open_ids(ledger.db(), organisation, None, after, 1_000).await?;
            let Some(last) = ids.last().copied() else { break };
            after = Some(last);
            open.extend(ids);
        }
    }
    let open: HashSet<String> = open.iter().map(ToString::to_string).collect();
    let book = ledger.log().read_through(open).await?;
    if book.ended > 0 {
        super::notice(ledger, POLICY, &format!("{} leases are open here that ended by the file outside", book.ended)).await?;
    }
    let mut lost = book.open;
    for part in lost.clone().chunks(PART) {
        let ids: Vec<LeaseId> = part.iter().filter_map(|line| line.lease.parse().ok()).collect();
        let known: HashSet<String> = leases::known(ledger.db(), &ids).await?.iter().map(ToString::to_string).collect();
        lost.retain(|line| !known.contains(&line.lease));
    }
    Ok(lost)
}

/// Reads the accounts of lost leases until the provider has answered for all of them, and leases those that are out again.
pub(crate) async fn bring_back(ledger: &Ledger, sites: &Sites, lost: &[Line], shutdown: &CancellationToken) {
    let mut by_organisation: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lost {
        by_organisation.entry(&line.organisation).or_default().push(line);
    }
    for (organisation, lines) in by_organisation {
        let Some(site) = organisation.parse::<OrganisationId>().ok().and_then(|id| sites.get(&id)) else { continue };
        for part in lines.chunks(PART) {
            while let Err(problem) = bring_back_part(ledger, site, part).await {
                tracing::warn!(organisation, problem, "accounts of lost leases cannot be looked at yet");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(site.organisation().limits.probe) => {}
                }
            }
        }
    }
}

async fn bring_back_part(ledger: &Ledger, site: &Site, lines: &[&Line]) -> Result<(), String> {
    let accounts: Vec<AccountId> = lines.iter().filter_map(|line| line.account.parse().ok()).collect();
    let read = site.provider().read_placements(&accounts, Priority::Return).await;
    site.heard(read.as_ref().err()).await;
    let placements: HashMap<AccountId, Placement> =
        read.map_err(|error| error.to_string())?.into_iter().map(|placement| (placement.account.clone(), placement)).collect();
    let found: Vec<Found> = lines.iter().filter_map(|line| found(site, line, &placements)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let count = found.len();
    adopt(ledger, site, found).await.map_err(|error| error.to_string())?;
    let how = format!("{count} accounts are out under leases that only the file outside knows");
    super::notice(ledger, POLICY, &how).await.map_err(|error| error.to_string())
}

async fn adopt(ledger: &Ledger, site: &Site, found: Vec<Found>) -> Result<(), StoreError> {
    let changes = transaction!(ledger.db(), "lease.bring_back", async |tx| -> Result<Changes, StoreError> {
        let accounts: Vec<&AccountId> = found.iter().map(|found| &found.subject.account).collect();
        let mut taken: HashSet<AccountId> = leases::open_of_accounts(tx, site.id(), &accounts).await?.into_keys().collect();
        let lost = found.iter().filter(|found| taken.insert(found.subject.account.clone()));
        let happened: Vec<Happened> =
            lost.map(|found| Happened::by_policy(found.subject.lease, Event::FoundOut(found.clone()))).collect();
        ledger.apply(tx, &happened, Vec::new(), ledger.now()).await
    })?;
    ledger.committed(changes);
    Ok(())
}

/// The lease of a line whose account is out.
fn found(site: &Site, line: &Line, placements: &HashMap<AccountId, Placement>) -> Option<Found> {
    let organisation = site.organisation();
    let placement = placements.get(&line.account.parse().ok()?)?;
    let policy = placement.policy.clone().filter(|policy| !organisation.protects(policy))?;
    let home = line.home.parse().ok().filter(|home| organisation.is_home(home));
    Some(Found {
        subject: Subject {
            lease: line.lease.parse().ok()?,
            organisation: organisation.id.clone(),
            account: placement.account.clone(),
            home: home.unwrap_or_else(|| organisation.default_home.clone()),
            recovery_policy: line.recovery_policy.parse().unwrap_or_else(|_| organisation.recovery_policy.clone()),
            terms: Terms::from(&organisation.limits),
        },
        origin: Origin::Lend,
        policy,
        version: placement.version,
        begun_at: placement.begun_at,
        reason: "its lease was lost: the database was restored from a backup".into(),
    })
}
