//! The table `organisation_state`.

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, one_row, row};
use homeward_types::{OrganisationId, Timestamp, VersionTrust};
use sqlx::QueryBuilder;

use super::{Judged, OrganisationState};
use crate::lease::VersionShown;

#[derive(Debug, sqlx::FromRow)]
struct Row {
    draining: bool,
    lend_seen: bool,
    return_seen: bool,
    open_leases: i64,
    accounts: Option<i64>,
    counted_at: Option<Timestamp>,
    unreachable_since: Option<Timestamp>,
}

impl From<Row> for OrganisationState {
    fn from(row: Row) -> Self {
        Self {
            draining: row.draining,
            trust: VersionTrust { lend_seen: row.lend_seen, return_seen: row.return_seen },
            open_leases: row.open_leases,
            accounts: row.accounts.and_then(|accounts| u64::try_from(accounts).ok()),
            counted_at: row.counted_at,
            unreachable_since: row.unreachable_since,
        }
    }
}

const COLUMNS: &str = "SELECT draining, lend_seen, return_seen, open_leases, accounts, counted_at, unreachable_since \
                       FROM organisation_state WHERE organisation = $1";

/// Makes the rows that are missing.
///
/// # Errors
/// [`StoreError`].
pub async fn ensure(tx: &mut Tx, organisations: &[&OrganisationId]) -> Result<(), StoreError> {
    if organisations.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert =
            QueryBuilder::<D>::new("INSERT INTO organisation_state (organisation, draining, lend_seen, return_seen, open_leases) ");
        insert.push_rows(organisations.iter().map(|organisation| row![organisation.as_str(), false, false, false, 0i64]));
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The organisation's state.
///
/// # Errors
/// [`StoreError`].
pub async fn read(db: &Database, organisation: &OrganisationId) -> Result<OrganisationState, StoreError> {
    let row: Option<Row> = on!(db, pool => sqlx::query_as(COLUMNS).bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(row.map(Into::into).unwrap_or_default())
}

/// The organisation's state, held until the transaction ends: nobody else opens or closes a lease meanwhile.
///
/// # Errors
/// [`StoreError`].
pub async fn locked(tx: &mut Tx, organisation: &OrganisationId) -> Result<OrganisationState, StoreError> {
    let sql = homeward_store::for_update!(
        tx,
        "SELECT draining, lend_seen, return_seen, open_leases, accounts, counted_at, unreachable_since \
         FROM organisation_state WHERE organisation = $1"
    );
    let row: Row = on_tx!(tx, c => sqlx::query_as(sql).bind(organisation.as_str()).fetch_one(c).await)?;
    Ok(row.into())
}

/// Counts leases that were opened (positive) or have ended (negative).
///
/// # Errors
/// [`StoreError`].
pub async fn count_leases(tx: &mut Tx, organisation: &OrganisationId, by: i64) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET open_leases = open_leases + $2 WHERE organisation = $1")
        .bind(organisation.as_str()).bind(by).execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "organisation")
}

/// Sets the counter to what is there: it can only be off after a row was mended by hand.
///
/// # Errors
/// [`StoreError`].
pub async fn recount(tx: &mut Tx, organisation: &OrganisationId) -> Result<(), StoreError> {
    on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET open_leases = (SELECT COUNT(*) FROM lease \
        WHERE lease.organisation = organisation_state.organisation AND lease.state <> 'closed') WHERE organisation = $1")
        .bind(organisation.as_str()).execute(c).await.map(drop))?;
    Ok(())
}

/// Versions earned some trust. What is known already is not written again: all who open or end a lease would wait for it.
///
/// # Errors
/// [`StoreError`].
pub async fn trust(tx: &mut Tx, organisation: &OrganisationId, shown: VersionShown) -> Result<(), StoreError> {
    let sql = match shown {
        VersionShown::ByLend => "UPDATE organisation_state SET lend_seen = $2 WHERE organisation = $1 AND lend_seen <> $2",
        VersionShown::ByReturn => "UPDATE organisation_state SET return_seen = $2 WHERE organisation = $1 AND return_seen <> $2",
    };
    on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(true).execute(c).await.map(drop))?;
    Ok(())
}

/// Begins or ends a drain.
///
/// # Errors
/// [`StoreError`].
pub async fn drain(
    tx: &mut Tx,
    organisation: &OrganisationId,
    draining: bool,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query(
        "UPDATE organisation_state SET draining = $2, drain_by = $3, drain_reason = $4, drain_at = $5 WHERE organisation = $1")
        .bind(organisation.as_str()).bind(draining).bind(by).bind(reason).bind(now)
        .execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "organisation")
}

/// Notes since when the provider has not answered, or that it answers. True if that was news.
///
/// # Errors
/// [`StoreError`].
pub async fn reachable(
    tx: &mut Tx,
    organisation: &OrganisationId,
    unreachable_since: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let sql = match unreachable_since {
        Some(_) => "UPDATE organisation_state SET unreachable_since = $2 WHERE organisation = $1 AND unreachable_since IS NULL",
        None => "UPDATE organisation_state SET unreachable_since = $2 WHERE organisation = $1 AND unreachable_since IS NOT NULL",
    };
    let changed = on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(unreachable_since)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Notes how many accounts there are.
///
/// # Errors
/// [`StoreError`].
pub async fn counted(tx: &mut Tx, organisation: &OrganisationId, accounts: u64, now: Timestamp) -> Result<(), StoreError> {
    let accounts = i64::try_from(accounts).unwrap_or(i64::MAX);
    on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET accounts = $2, counted_at = $3 WHERE organisation = $1")
        .bind(organisation.as_str()).bind(accounts).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// What the first moves showed of the organisation's provider.
///
/// # Errors
/// [`StoreError`].
pub async fn judged(db: &Database, organisation: &OrganisationId) -> Result<Judged, StoreError> {
    type Row = (Option<String>, Option<String>, Option<String>);
    let sql = "SELECT task_read, lend_version, return_version FROM organisation_state WHERE organisation = $1";
    let row: Option<Row> = on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).fetch_optional(pool).await)?;
    let (task_read, lend_version, return_version) = row.unwrap_or_default();
    Ok(Judged { task_read, lend_version, return_version })
}

/// Keeps what is new; what was judged before stays.
///
/// # Errors
/// [`StoreError`].
pub async fn judge(tx: &mut Tx, organisation: &OrganisationId, found: &Judged) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query(
        "UPDATE organisation_state SET task_read = COALESCE(task_read, $2), lend_version = COALESCE(lend_version, $3), \
         return_version = COALESCE(return_version, $4) WHERE organisation = $1")
        .bind(organisation.as_str()).bind(&found.task_read).bind(&found.lend_version).bind(&found.return_version)
        .execute(c).await.map(|done| done.rows_affected()))?;
    one_row(changed, "organisation")
}
