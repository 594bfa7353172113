//! Leases to look at.

use std::collections::HashSet;

use homeward_store::{Database, Engine, PushRows, StoreError, on};
use homeward_types::{LeaseId, OrganisationId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::row::{Kept, LeaseRow};

/// A part of a listing, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The leases.
    pub leases: Vec<Kept>,
    /// Where the next part begins; `None` after the last.
    pub next_before: Option<LeaseId>,
}

/// One lease.
///
/// # Errors
/// [`StoreError`].
pub async fn kept(db: &Database, id: LeaseId) -> Result<Option<Kept>, StoreError> {
    let row: Option<LeaseRow> =
        on!(db, pool => sqlx::query_as("SELECT * FROM lease WHERE id = $1").bind(id.uuid()).fetch_optional(pool).await)?;
    row.map(Kept::try_from).transpose()
}

/// Leases by id; unknown ids are missing.
///
/// # Errors
/// [`StoreError`].
pub async fn all_kept(db: &Database, ids: &[LeaseId]) -> Result<Vec<Kept>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<LeaseRow> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new("SELECT * FROM lease WHERE id ");
        select.push_one_of(ids.iter().map(|id| id.uuid()));
        select.build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    rows.into_iter().map(Kept::try_from).collect()
}

/// Leases of an organisation, newest first, before `before`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    db: &Database,
    organisation: &OrganisationId,
    open_only: bool,
    before: Option<LeaseId>,
    size: usize,
) -> Result<Page, StoreError> {
    let sql = if open_only {
        "SELECT * FROM lease WHERE organisation = $1 AND state <> 'closed' AND id < $2 ORDER BY id DESC LIMIT $3"
    } else {
        "SELECT * FROM lease WHERE organisation = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    };
    let before = before.map_or(Uuid::max(), LeaseId::uuid);
    let one_more = i64::try_from(size.saturating_add(1)).unwrap_or(i64::MAX);
    let rows: Vec<LeaseRow> = on!(db, pool => sqlx::query_as(sql)
        .bind(organisation.as_str()).bind(before).bind(one_more).fetch_all(pool).await)?;
    let mut leases = rows.into_iter().map(Kept::try_from).collect::<Result<Vec<_>, _>>()?;
    let more = leases.len() > size;
    leases.truncate(size);
    let next_before = if more { leases.last().map(|kept| kept.lease.id) } else { None };
    Ok(Page { leases, next_before })
}

/// An attempt as shown to people.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AttemptView {
    /// Counts within the lease.
    pub number: i32,
    /// `lend` or `return`.
    pub kind: String,
    /// What is known of it.
    pub state: String,
    /// When it was marked before the write.
    pub sent_at: Option<Timestamp>,
    /// The provider's task.
    pub task: Option<String>,
    /// What was answered.
    pub detail: Option<String>,
}

/// The newest attempts of a lease, at most `most`, oldest of them first.
///
/// # Errors
/// [`StoreError`].
pub async fn attempts_of(db: &Database, lease: LeaseId, most: i64) -> Result<Vec<AttemptView>, StoreError> {
    let mut attempts: Vec<AttemptView> = on!(db, pool => sqlx::query_as(
        "SELECT number, kind, state, sent_at, task, detail FROM attempt WHERE lease_id = $1 ORDER BY number DESC LIMIT $2")
        .bind(lease.uuid()).bind(most).fetch_all(pool).await)?;
    attempts.reverse();
    Ok(attempts)
}

/// Ids of open leases, or of those that are due before a moment; after `after`, at most `most`, sorted.
///
/// # Errors
/// [`StoreError`].
pub async fn open_ids(
    db: &Database,
    organisation: &OrganisationId,
    due_before: Option<Timestamp>,
    after: Option<LeaseId>,
    most: i64,
) -> Result<Vec<LeaseId>, StoreError> {
    let after = after.map_or(Uuid::nil(), LeaseId::uuid);
    let sql = "SELECT id FROM lease WHERE organisation = $1 AND state <> 'closed' AND id > $2 AND ($3 IS NULL OR due_at <= $3) \
        ORDER BY id LIMIT $4";
    let ids: Vec<Uuid> = on!(db, pool => sqlx::query_scalar(sql)
        .bind(organisation.as_str()).bind(after).bind(due_before).bind(most).fetch_all(pool).await)?;
    Ok(ids.into_iter().map(LeaseId::from_uuid).collect())
}

/// What security watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Exposure {
    /// Accounts seen out and not seen at an end.
    pub out_now: i64,
    /// Since when the first of them is out.
    pub oldest_out_at: Option<Timestamp>,
    /// Open leases past their due time.
    pub overdue: i64,
    /// Open leases.
    pub open: i64,
}

/// The organisation's exposure at `now`.
///
/// # Errors
/// [`StoreError`].
pub async fn exposure(db: &Database, organisation: &OrganisationId, now: Timestamp) -> Result<Exposure, StoreError> {
    Ok(on!(db, pool => sqlx::query_as("SELECT \
        COUNT(*) FILTER (WHERE out_first_at IS NOT NULL AND state <> 'settling') AS out_now, \
        MIN(CASE WHEN state <> 'settling' THEN out_first_at END) AS oldest_out_at, \
        COUNT(*) FILTER (WHERE due_at <= $2) AS overdue, COUNT(*) AS open \
        FROM lease WHERE organisation = $1 AND state <> 'closed'")
        .bind(organisation.as_str()).bind(now).fetch_one(pool).await)?)
}

/// Which of these ids are known: open, closed or never lent.
///
/// # Errors
/// [`StoreError`].
pub async fn known(db: &Database, ids: &[LeaseId]) -> Result<HashSet<LeaseId>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let known: Vec<Uuid> = on!(db, pool : D => {
        let mut select = QueryBuilder::<D>::new("SELECT id FROM lease WHERE id ");
        select.push_one_of(ids.iter().map(|id| id.uuid()));
        select.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    Ok(known.into_iter().map(LeaseId::from_uuid).collect())
}

/// Leases that were opened and have ended, after this moment and id, in that order.
///
/// # Errors
/// [`StoreError`].
pub async fn ended_since(db: &Database, after: (Timestamp, LeaseId), most: i64) -> Result<Vec<crate::lease::Lease>, StoreError> {
    let rows: Vec<LeaseRow> = on!(db, pool => sqlx::query_as("SELECT * FROM lease WHERE ended_at IS NOT NULL \
        AND end_kind <> 'never_lent' AND (ended_at, id) > ($1, $2) ORDER BY ended_at, id LIMIT $3")
        .bind(after.0).bind(after.1.uuid()).bind(most).fetch_all(pool).await)?;
    rows.into_iter().map(|row| Kept::try_from(row).map(|kept| kept.lease)).collect()
}
