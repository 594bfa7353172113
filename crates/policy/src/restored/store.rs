//! What a restore from a backup changes in the database.

use std::collections::HashMap;

use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, one_row};
use homeward_types::{AccountId, LeaseId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

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

/// Policy itself was restored: nothing is lent until every account was read, and two persons have ended the drain.
///
/// # Errors
/// [`StoreError`].
pub async fn want_census(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    on_tx!(tx, c => sqlx::query("UPDATE organisation_state SET census_wanted_at = $1").bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Since when a census is wanted, if one is.
///
/// # Errors
/// [`StoreError`].
pub async fn census_wanted(db: &Database, organisation: &OrganisationId) -> Result<Option<Timestamp>, StoreError> {
    let wanted: Option<Option<Timestamp>> = on!(db, pool => sqlx::query_scalar(
        "SELECT census_wanted_at FROM organisation_state WHERE organisation = $1")
        .bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(wanted.flatten())
}

/// The census that was wanted since then is over. False if another one is wanted by now.
///
/// # Errors
/// [`StoreError`].
pub async fn census_done(tx: &mut Tx, organisation: &OrganisationId, wanted_at: Timestamp) -> Result<bool, StoreError> {
    let changed = on_tx!(tx, c => sqlx::query(
        "UPDATE organisation_state SET census_wanted_at = NULL WHERE organisation = $1 AND census_wanted_at = $2")
        .bind(organisation.as_str()).bind(wanted_at).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// The newest lease of an account that was lent once.
#[derive(Debug, Clone, Copy)]
pub struct Newest {
    /// Which.
    pub lease: LeaseId,
    /// It has not ended.
    pub open: bool,
    /// Two persons let the account stay out.
    pub released: bool,
}

/// The newest lease of each of these accounts, by the account's id. An account that was never lent has none.
///
/// # Errors
/// [`StoreError`].
pub async fn newest_leases(
    db: &Database,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<HashMap<String, Newest>, StoreError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, Uuid, String, Option<String>)> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new("SELECT account, id, state, end_kind FROM lease WHERE organisation = ");
        select.push_bind(organisation.as_str()).push(" AND (end_kind IS NULL OR end_kind <> 'never_lent') AND account ");
        select.push_one_of(accounts.iter().map(|account| account.as_str()));
        // Ids grow with time: the last row of an account is its newest lease.
        select.push(" ORDER BY id");
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    let newest = |id, state: &str, end: Option<&str>| Newest {
        lease: LeaseId::from_uuid(id),
        open: state != "closed",
        released: end == Some("released"),
    };
    Ok(rows.into_iter().map(|(account, id, state, end)| (account, newest(id, &state, end.as_deref()))).collect())
}

/// What the end of a drain takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// An operator.
    One,
    /// Two persons.
    Two {
        /// Who asked first, if somebody did.
        first: Option<String>,
    },
    /// A census first: policy was restored then.
    Census(Timestamp),
}

/// What the end of this drain takes.
///
/// # Errors
/// [`StoreError`].
pub async fn end_takes(tx: &mut Tx, organisation: &OrganisationId) -> Result<End, StoreError> {
    let (restored, first, census): (bool, Option<String>, Option<Timestamp>) = on_tx!(tx, c => sqlx::query_as(
        "SELECT restored, drain_end_by, census_wanted_at FROM organisation_state WHERE organisation = $1")
        .bind(organisation.as_str()).fetch_one(c).await)?;
    Ok(match (restored, census) {
        (_, Some(since)) => End::Census(since),
        (true, None) => End::Two { first },
        (false, None) => End::One,
    })
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
