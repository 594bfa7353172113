//! The work queues, and leases with their live attempts, held for a decision.
//!
//! What is next is asked for as the first row in the order of its index. `MIN`, and whether there is one before a moment, are
//! answered from all rows of a table that PostgreSQL does not know yet.

use std::collections::HashMap;

use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx};
use homeward_types::{AccountId, LeaseId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::{AttemptRow, Kept, LeaseRow};
use crate::lease::{Attempt, Kind};

/// Leases by id, held until the transaction ends. Unknown ids are missing.
///
/// # Errors
/// [`StoreError`].
pub async fn locked(tx: &mut Tx, ids: &[LeaseId]) -> Result<HashMap<LeaseId, Kept>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let tail = homeward_store::dialect!(tx, pg: " ORDER BY id FOR UPDATE", lite: " ORDER BY id");
    let rows: Vec<LeaseRow> = on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new("SELECT * FROM lease WHERE id ");
        select.push_one_of(ids.iter().map(|id| id.uuid())).push(tail);
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    rows.into_iter().map(|row| Kept::try_from(row).map(|kept| (kept.lease.id, kept))).collect()
}

/// The attempts of these leases that can still decide anything, by rising number.
///
/// # Errors
/// [`StoreError`].
pub async fn live_attempts(tx: &mut Tx, ids: &[LeaseId]) -> Result<HashMap<LeaseId, Vec<Attempt>>, StoreError> {
    let mut attempts: HashMap<LeaseId, Vec<Attempt>> = HashMap::new();
    if ids.is_empty() {
        return Ok(attempts);
    }
    let rows: Vec<AttemptRow> = on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new(
            "SELECT lease_id, number, kind, state, not_before, not_after, claimed_until, accepted FROM attempt \
             WHERE (state IN ('ready', 'sent') OR (state = 'unknown' AND kind = 'lend')) AND lease_id ");
             select.push_one_of(ids.iter().map(|id| id.uuid())).push(" ORDER BY lease_id, number");
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    for row in rows {
        let lease = LeaseId::from_uuid(row.lease_id);
        attempts.entry(lease).or_default().push(row.try_into()?);
    }
    Ok(attempts)
}

/// When the next ready attempt of a kind may be taken.
///
/// # Errors
/// [`StoreError`].
pub async fn next_ready(db: &Database, organisation: &OrganisationId, kind: Kind) -> Result<Option<Timestamp>, StoreError> {
    Ok(
        on!(db, pool => sqlx::query_scalar("SELECT not_before FROM attempt WHERE organisation = $1 AND kind = $2 AND state = 'ready' \
        ORDER BY not_before LIMIT 1").bind(organisation.as_str()).bind(kind.name()).fetch_optional(pool).await)?,
    )
}

/// When the next account of the organisation is to be read.
///
/// # Errors
/// [`StoreError`].
pub async fn next_read(db: &Database, organisation: &OrganisationId) -> Result<Option<Timestamp>, StoreError> {
    Ok(on!(db, pool => sqlx::query_scalar("SELECT next_read_at FROM lease WHERE organisation = $1 AND next_read_at IS NOT NULL \
        ORDER BY next_read_at LIMIT 1").bind(organisation.as_str()).fetch_optional(pool).await)?)
}

/// How many accounts are due to be read; `most` stands for that many or more.
///
/// # Errors
/// [`StoreError`].
pub async fn reads_due(db: &Database, organisation: &OrganisationId, now: Timestamp, most: i64) -> Result<usize, StoreError> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM lease WHERE organisation = $1 AND next_read_at <= $2 LIMIT $3) AS due";
    let due: i64 =
        on!(db, pool => sqlx::query_scalar(sql).bind(organisation.as_str()).bind(now).bind(most).fetch_one(pool).await)?;
    Ok(usize::try_from(due).unwrap_or_default())
}

/// Leases that time changes now, earliest first.
///
/// # Errors
/// [`StoreError`].
pub async fn due_ticks(db: &Database, now: Timestamp, most: i64) -> Result<Vec<LeaseId>, StoreError> {
    let ids: Vec<Uuid> = on!(db, pool => sqlx::query_scalar("SELECT id FROM lease WHERE tick_at <= $1 ORDER BY tick_at LIMIT $2")
        .bind(now).bind(most).fetch_all(pool).await)?;
    Ok(ids.into_iter().map(LeaseId::from_uuid).collect())
}

/// When time changes a lease next.
///
/// # Errors
/// [`StoreError`].
pub async fn next_tick(db: &Database) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT tick_at FROM lease WHERE tick_at IS NOT NULL ORDER BY tick_at LIMIT 1";
    Ok(on!(db, pool => sqlx::query_scalar(sql).fetch_optional(pool).await)?)
}

/// Whether lends are held back: an account of the organisation has been out past its due time since before `since`.
///
/// # Errors
/// [`StoreError`].
pub async fn held_back(db: &Database, organisation: &OrganisationId, since: Timestamp) -> Result<bool, StoreError> {
    let earliest: Option<Timestamp> = on!(db, pool => sqlx::query_scalar("SELECT due_at FROM lease WHERE organisation = $1 \
        AND state <> 'closed' AND state <> 'settling' ORDER BY due_at LIMIT 1").bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(earliest.is_some_and(|due_at| due_at <= since))
}

/// Holds the rows of these leases until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, ids: &[LeaseId]) -> Result<(), StoreError> {
    // SQLite's transaction is the only writer from its beginning.
    if ids.is_empty() || !tx.is_postgres() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new("SELECT id FROM lease WHERE id ");
        select.push_one_of(ids.iter().map(|id| id.uuid())).push(" ORDER BY id FOR UPDATE");
        select.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The account of the open lease that is due first: whom to ask a silent provider for.
///
/// # Errors
/// [`StoreError`].
pub async fn most_urgent(db: &Database, organisation: &OrganisationId) -> Result<Option<AccountId>, StoreError> {
    let account: Option<String> = on!(db, pool => sqlx::query_scalar(
        "SELECT account FROM lease WHERE organisation = $1 AND state <> 'closed' ORDER BY due_at LIMIT 1")
        .bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(account.and_then(|account| account.parse().ok()))
}

/// Open leases past their due time whose account is not disabled, those due first first.
///
/// # Errors
/// [`StoreError`].
pub async fn uncontained(
    db: &Database,
    organisation: &OrganisationId,
    most: i64,
) -> Result<Vec<(LeaseId, AccountId)>, StoreError> {
    let rows: Vec<(Uuid, String)> = on!(db, pool => sqlx::query_as("SELECT id, account FROM lease WHERE organisation = $1 \
        AND state IN ('active', 'closing') AND overdue = $2 AND contained = $3 ORDER BY due_at LIMIT $4")
        .bind(organisation.as_str()).bind(true).bind(false).bind(most).fetch_all(pool).await)?;
    Ok(rows.into_iter().filter_map(|(id, account)| Some((LeaseId::from_uuid(id), account.parse().ok()?))).collect())
}
