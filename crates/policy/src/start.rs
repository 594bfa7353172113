//! What is done once, before the loops run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use homeward_provider::IdentityProvider;
use homeward_store::{StoreError, transaction};
use homeward_types::OrganisationId;

use crate::StartError;
use crate::lease::{earlier, store as leases};
use crate::ledger::Ledger;
use crate::opening_log::Line;
use crate::organisation;
use crate::site::{Site, Sites};

/// Lines of two processes, or of one after its clock stepped, may be this much out of order.
const OVERLAP: Duration = Duration::from_mins(5);

/// Ends added to the file of openings at once.
const ENDS: i64 = 1_000;

/// Makes the organisations' rows, counts their open leases, and adds ends to the file of openings that a crash left out.
pub(crate) async fn prepare(ledger: &Ledger) -> Result<(), StartError> {
    let organisations: Vec<&OrganisationId> = ledger.organisations().keys().collect();
    transaction!(ledger.db(), "organisation.ensure", async |tx| -> Result<(), StoreError> {
        organisation::store::ensure(tx, &organisations).await?;
        for organisation in &organisations {
            // Held first: whoever opens or ends a lease meanwhile waits, and is counted after its commit.
            organisation::store::locked(tx, organisation).await?;
            organisation::store::recount(tx, organisation).await?;
        }
        Ok(())
    })?;
    let Some(newest) = ledger.log().newest() else { return Ok(()) };
    let mut since = (earlier(newest, OVERLAP), homeward_types::LeaseId::from_uuid(uuid::Uuid::nil()));
    loop {
        let ended = leases::ended_since(ledger.db(), since, ENDS).await?;
        let Some(last) = ended.last().and_then(|lease| Line::closed(lease).map(|line| (line.at, lease.id))) else {
            return Ok(());
        };
        ledger.log().append(ended.iter().filter_map(Line::closed).collect()).await?;
        since = last;
    }
}

/// The organisations with their providers.
pub(crate) async fn sites(
    ledger: &Ledger,
    mut providers: BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>,
) -> Result<Sites, StartError> {
    let mut sites = Sites::new();
    for (id, organisation) in ledger.organisations() {
        let provider = providers.remove(id).ok_or_else(|| StartError::NoProvider(id.clone()))?;
        sites.insert(id.clone(), Arc::new(Site::open(organisation.clone(), provider, ledger.clone()).await?));
    }
    Ok(sites)
}
