//! What a restore from a backup changes in the database.

use homeward_store::{StoreError, Tx, on_tx, one_row};
use homeward_types::{OrganisationId, Timestamp};

/// Versions of leases go on so far above the restored ones that nothing told before is higher.
const ABOVE: i64 = 1_000_000;

/// Begins a drain everywhere, which two persons must end.
///
/// # Errors
/// [`StoreError`].
pub async fn drain(tx: &mut Tx, by: &str, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET draining = $1, restored = $1, drain_end_by = NULL, drain_by = $2, \
        drain_reason = $3, drain_at = $4").bind(true).bind(by).bind(reason).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Who asked first for the end of a drain that two persons must end: `None` if one is enough.
///
/// # Errors
/// [`StoreError`].
pub async fn first_to_end(tx: &mut Tx, organisation: &OrganisationId) -> Result<Option<Option<String>>, StoreError> {
    let (restored, first): (bool, Option<String>) = on_tx!(tx, c => sqlx::query_as(
        "SELECT restored, drain_end_by FROM organisation_state WHERE organisation = $1")
        .bind(organisation.as_str()).fetch_one(c).await)?;
    Ok(restored.then_some(first))
}

/// Keeps who asked first.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_first(tx: &mut Tx, organisation: &OrganisationId, by: &str) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET drain_end_by = $2 WHERE organisation = $1")
        .bind(organisation.as_str()).bind(by).execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "organisation")
}

/// Both persons have asked.
///
/// # Errors
/// [`StoreError`].
pub async fn over(tx: &mut Tx, organisation: &OrganisationId) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET restored = $2, drain_end_by = NULL WHERE organisation = $1")
        .bind(organisation.as_str()).bind(false).execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "organisation")
}

/// What is told of open leases from now on is newer than whatever was told of them before the restore; and they are read.
///
/// # Errors
/// [`StoreError`].
pub async fn raise_versions(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    on_tx!(tx, c => sqlx::query("UPDATE lease SET version = version + $1, next_read_at = $2 WHERE state <> 'closed'")
        .bind(ABOVE).bind(now).execute(c).await.map(drop))?;
    Ok(())
}
