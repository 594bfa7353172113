//! The table `patroller`: which process patrols.

use chrono::{DateTime, Utc};
use homeward_store::{StoreError, Tx, on_tx};
use homeward_types::{OrganisationId, Timestamp};
use uuid::Uuid;

/// A process's right to patrol.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Whose.
    pub by: Uuid,
    /// Until when.
    pub until: Timestamp,
}

/// Takes the right to patrol, if a patrol is due and no other process has it. `Some` if not: when to look again.
pub async fn claim(
    tx: &mut Tx,
    organisation: &OrganisationId,
    claim: Claim,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "INSERT INTO patroller (organisation, claimed_by, claimed_until, due_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (organisation) DO UPDATE SET claimed_by = $2, claimed_until = $3 \
               WHERE (patroller.claimed_by = $2 OR patroller.claimed_until <= $4) AND patroller.due_at <= $4";
    let taken = on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(claim.by).bind(claim.until).bind(now)
        .execute(c).await.map(|done| done.rows_affected()))?;
    if taken == 1 {
        return Ok(None);
    }
    let sql = "SELECT claimed_until, due_at FROM patroller WHERE organisation = $1";
    let (claimed_until, due_at): (DateTime<Utc>, DateTime<Utc>) =
        on_tx!(tx, c => sqlx::query_as(sql).bind(organisation.as_str()).fetch_one(c).await)?;
    Ok(Some(if due_at > now { due_at } else { claimed_until }))
}

/// Renews the right; `false` if another process took it over.
pub async fn renew(tx: &mut Tx, organisation: &OrganisationId, claim: Claim) -> Result<bool, StoreError> {
    let sql = "UPDATE patroller SET claimed_until = $3 WHERE organisation = $1 AND claimed_by = $2";
    let renewed = on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(claim.by).bind(claim.until)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(renewed == 1)
}

/// Gives the right back after a patrol; the next one is due then. `false` if another process took it over.
pub async fn done(
    tx: &mut Tx,
    organisation: &OrganisationId,
    by: Uuid,
    now: Timestamp,
    due_at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE patroller SET claimed_until = $3, due_at = $4 WHERE organisation = $1 AND claimed_by = $2";
    let done = on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(by).bind(now).bind(due_at)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(done == 1)
}
