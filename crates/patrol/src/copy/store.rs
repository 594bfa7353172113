//! The table `lease_copy`.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::{AccountId, LeaseId, NameError, OrganisationId, Timestamp};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{KEPT, LeaseCopy};

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organisation: String,
    account: String,
    version: i64,
    open: bool,
    ended: String,
    opened_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    ever_out: bool,
    first_seen_out: Option<DateTime<Utc>>,
    tail_reads: i64,
    traceparent: String,
    tracestate: String,
}

impl TryFrom<Row> for LeaseCopy {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let broken = |column, error: NameError| StoreError::Inconsistent {
            table: "lease_copy",
            column,
            row: row.id.to_string(),
            reason: error.to_string(),
        };
        Ok(Self {
            id: LeaseId::from_uuid(row.id),
            organisation: row.organisation.parse().map_err(|error| broken("organisation", error))?,
            account: row.account.parse().map_err(|error| broken("account", error))?,
            version: row.version,
            open: row.open,
            ended: row.ended,
            opened_at: row.opened_at,
            due_at: row.due_at,
            closed_at: row.closed_at,
            ever_out: row.ever_out,
            first_seen_out: row.first_seen_out,
            tail_reads: row.tail_reads,
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
        })
    }
}

const COLUMNS: &str = "SELECT id, organisation, account, version, open, ended, opened_at, due_at, closed_at, ever_out, first_seen_out, tail_reads, traceparent, tracestate FROM lease_copy";

/// Takes up what policy said; older news than what is known changes nothing. Each lease at most once in `news`.
pub async fn take_up(tx: &mut Tx, news: &[LeaseCopy], now: Timestamp) -> Result<(), StoreError> {
    if news.is_empty() {
        return Ok(());
    }
    on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new(
            "INSERT INTO lease_copy (id, organisation, account, version, open, ended, opened_at, due_at, closed_at, ever_out, tail_reads, next_read_at, traceparent, tracestate) ",
        );
        query.push_rows(news.iter().map(|lease| row![
            lease.id.uuid(), lease.organisation.as_str(), lease.account.as_str(), lease.version, lease.open, &lease.ended,
            lease.opened_at, lease.due_at, lease.closed_at, lease.ever_out, 0, now, &lease.trace.traceparent,
            &lease.trace.tracestate,
        ]));
        query.push(
            " ON CONFLICT (id) DO UPDATE SET version = excluded.version, open = excluded.open, ended = excluded.ended, \
             opened_at = excluded.opened_at, due_at = excluded.due_at, closed_at = excluded.closed_at, \
             ever_out = excluded.ever_out, next_read_at = excluded.next_read_at, traceparent = excluded.traceparent, tracestate = excluded.tracestate \
             WHERE lease_copy.version < excluded.version",
        );
        query.build().persistent(D::ONE_TEXT).execute(conn).await.map(drop)
    })?;
    Ok(())
}

/// Copies that are due, the longest overdue first.
pub async fn due(db: &Database, organisation: &OrganisationId, now: Timestamp, most: i64) -> Result<Vec<LeaseCopy>, StoreError> {
    let sql = format!("{COLUMNS} WHERE organisation = $1 AND next_read_at <= $2 ORDER BY next_read_at LIMIT $3");
    let rows = on!(db, pool => sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(sql.as_str())).bind(organisation.as_str()).bind(now).bind(most).fetch_all(pool).await)?;
    rows.into_iter().map(LeaseCopy::try_from).collect()
}

/// Which of these accounts have an open lease.
pub async fn held(
    db: &Database,
    organisation: &OrganisationId,
    accounts: &[&AccountId],
) -> Result<HashSet<AccountId>, StoreError> {
    if accounts.is_empty() {
        return Ok(HashSet::new());
    }
    let names: Vec<String> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new("SELECT DISTINCT account FROM lease_copy WHERE open AND organisation = ");
        query.push_bind(organisation.as_str()).push(" AND account ");
        query.push_one_of(accounts.iter().map(|account| account.as_str()));
        query.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(pool).await
    })?;
    let known: HashMap<&str, &AccountId> = accounts.iter().map(|account| (account.as_str(), *account)).collect();
    Ok(names.iter().filter_map(|name| known.get(name.as_str()).map(|account| (*account).clone())).collect())
}

/// What a read back changed in a copy.
pub struct Seen {
    /// Which.
    pub id: LeaseId,
    /// The version that was judged; newer news has its own next read.
    pub version: i64,
    /// Since when patrol sees it out.
    pub first_seen_out: Option<Timestamp>,
    /// Tail reads made so far.
    pub tail_reads: i64,
    /// When it is read again, if ever.
    pub next_read_at: Option<Timestamp>,
}

/// Notes what was read back.
pub async fn note(tx: &mut Tx, seen: &[Seen], now: Timestamp) -> Result<(), StoreError> {
    if seen.is_empty() {
        return Ok(());
    }
    on_tx!(tx, conn : D => {
        let mut query = QueryBuilder::<D>::new("UPDATE lease_copy SET read_at = ");
        query.push_bind(now).push(", first_seen_out = v.column2, tail_reads = v.column3, next_read_at = v.column4 FROM (");
        query.push_rows(seen.iter().map(|seen| row![
            seen.id.uuid(), seen.first_seen_out, seen.tail_reads, seen.next_read_at, seen.version,
        ]));
        query.push(") AS v WHERE id = v.column1 AND version = v.column5");
        query.build().persistent(D::ONE_TEXT).execute(conn).await.map(drop)
    })?;
    Ok(())
}

/// Drops copies whose last tail read is over, unless something is wrong with them.
pub async fn forget(tx: &mut Tx, organisation: &OrganisationId, now: Timestamp) -> Result<(), StoreError> {
    on_tx!(tx, conn => sqlx::query("DELETE FROM lease_copy WHERE organisation = $1 AND NOT open AND closed_at < $2 AND next_read_at IS NULL")
        .bind(organisation.as_str()).bind(now - KEPT).execute(conn).await.map(drop))?;
    Ok(())
}
