//! Restored is noticed (rule 12): a service whose outbox numbers are lower than what its neighbours heard of it, or whose leases
//! are older than the file outside the database, was restored from a backup. Nothing is lent until two persons end the drain, and
//! where it was policy, until every account was read since.

pub(crate) mod census;
pub mod lost;
pub mod store;

use homeward_messaging::inbox;
use homeward_store::audit::{self, Entry};
use homeward_store::{StoreError, transaction};
use homeward_types::IncidentId;
use serde_json::json;

use crate::incident::Incident;
use crate::ledger::{Changes, Ledger, POLICY};

/// What a caller says of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// The highest number that the caller heard of policy.
    pub heard_of_policy: i64,
    /// The caller itself was restored.
    pub restored: bool,
}

/// Compares numbers with the service `caller`, and answers with the highest that policy heard of it.
///
/// # Errors
/// [`StoreError`].
pub async fn compare(ledger: &Ledger, caller: &str, compared: Compared) -> Result<i64, StoreError> {
    // Read after the caller read its own: in a database that goes on, this one is never lower.
    let last = ledger.outbox().last_number().await?;
    if compared.heard_of_policy > last {
        notice(ledger, POLICY, &format!("{caller} heard of number {} and the last one is {last}", compared.heard_of_policy))
            .await?;
        ledger.outbox().go_on_above(compared.heard_of_policy).await?;
    }
    if compared.restored {
        notice(ledger, caller, &format!("{caller} says so")).await?;
    }
    Ok(inbox::heard(ledger.db()).await?.get(caller).copied().unwrap_or(0))
}

/// Begins the drain, and tells everybody. Where policy itself was restored, its open leases are read, and what is told of them is
/// newer than what was told before; and every account is read before two persons may end the drain.
///
/// # Errors
/// [`StoreError`].
pub async fn notice(ledger: &Ledger, who: &str, how: &str) -> Result<(), StoreError> {
    tracing::error!(service = who, how, "a database was restored from a backup: nothing is lent until two persons end the drain");
    let reason = format!("the database of {who} was restored from a backup ({how})");
    let (next, first) = if who == POLICY {
        ("; every account is read, and what that finds is told", "wait until every account was read, and ")
    } else {
        ("", "")
    };
    let changes = transaction!(ledger.db(), "organisation.restored", async |tx| -> Result<Changes, StoreError> {
        let now = ledger.now();
        store::drain(tx, POLICY, &reason, now).await?;
        if who == POLICY {
            store::raise_versions(tx, now).await?;
            store::want_census(tx, now).await?;
        }
        let (mut incidents, mut entries) = (Vec::new(), Vec::new());
        for organisation in ledger.organisations().keys() {
            let told = Incident::announcement(IncidentId::new(ledger.clock()), organisation, "restored", reason.clone());
            incidents.push(Incident {
                next_action: format!("no lends; returns go on; accounts that are out are brought home{next}"),
                safe_action: format!(
                    "{first}find out what the backup is missing; then two operators end the drain with `homeward drain --end`"
                ),
                ..told
            });
            let entry = Entry::new(now, organisation, POLICY, "organisation.restored", organisation.to_string());
            entries.push(entry.detail(json!({ "service": who, "how": how })));
        }
        audit::record(tx, &entries).await?;
        ledger.apply(tx, &[], incidents, now).await
    })?;
    ledger.committed(changes);
    for bells in ledger.organisations().keys().filter_map(|id| ledger.belfry().of(id)) {
        bells.read.ring();
    }
    Ok(())
}
