//! The table `watch`: a round's or a batch's rows in one statement each.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, for_update, on, on_tx, row};
use homeward_types::{LeaseId, MessageId, OrganisationId, PlacementVersion, Timestamp};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::Watch;
use super::evidence::{Evidence, Logged, Proof, Told};

/// Rows in one statement; 23 values each stay below what SQLite takes.
const ROWS: usize = 1_000;

macro_rules! columns {
    () => {
        "lease, organisation, account, email, seen_out_at, out_version, until, newest_at, newest_enrolled, absent_at, enrolled_at, \
         log_enrolled, log_removed, proved_at, proof, reported_at, next_read_at, ended_at, version, traceparent, tracestate, message"
    };
}

#[derive(FromRow)]
struct Row {
    lease: Uuid,
    organisation: String,
    account: String,
    email: Option<String>,
    seen_out_at: DateTime<Utc>,
    out_version: Option<i64>,
    until: DateTime<Utc>,
    newest_at: Option<DateTime<Utc>>,
    newest_enrolled: Option<bool>,
    absent_at: Option<DateTime<Utc>>,
    enrolled_at: Option<DateTime<Utc>>,
    log_enrolled: Option<i64>,
    log_removed: Option<i64>,
    proved_at: Option<DateTime<Utc>>,
    proof: Option<String>,
    reported_at: Option<DateTime<Utc>>,
    next_read_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    version: i64,
    traceparent: String,
    tracestate: String,
    message: Uuid,
}

impl TryFrom<Row> for Watch {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let broken = |column, error: homeward_types::NameError| StoreError::Inconsistent {
            table: "watch",
            column,
            row: row.lease.to_string(),
            reason: error.to_string(),
        };
        let newest = row.newest_at.zip(row.newest_enrolled).map(|(begun_at, enrolled)| Told { begun_at, enrolled });
        Ok(Self {
            lease: LeaseId::from_uuid(row.lease),
            organisation: row.organisation.parse().map_err(|error| broken("organisation", error))?,
            account: row.account.parse().map_err(|error| broken("account", error))?,
            email: row.email.map(|email| email.parse().map_err(|error| broken("email", error))).transpose()?,
            until: row.until,
            evidence: Evidence {
                seen_out_at: row.seen_out_at,
                out_version: row.out_version.map(PlacementVersion),
                newest,
                absent_at: row.absent_at,
                enrolled_at: row.enrolled_at,
                logged: Logged { enrolled: row.log_enrolled, removed: row.log_removed },
                proof: row.proved_at.zip(row.proof).map(|(seen_at, words)| Proof { seen_at, words }),
            },
            reported_at: row.reported_at,
            next_read_at: row.next_read_at,
            ended_at: row.ended_at,
            version: row.version,
            trace: TraceContext { traceparent: row.traceparent, tracestate: row.tracestate },
            message: MessageId::from_uuid(row.message),
        })
    }
}

fn watches(rows: Vec<Row>) -> Result<Vec<Watch>, StoreError> {
    rows.into_iter().map(Watch::try_from).collect()
}

/// The watches of these leases, kept from other writers.
pub async fn locked(tx: &mut Tx, leases: &[LeaseId]) -> Result<HashMap<LeaseId, Watch>, StoreError> {
    if leases.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = for_update!(tx, " ORDER BY lease");
    let rows: Vec<Row> = on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM watch WHERE lease "));
        query.push_one_of(leases.iter().map(|lease| lease.uuid())).push(lock);
        query.build_query_as().persistent(D::ONE_TEXT).fetch_all(c).await
    })?;
    Ok(watches(rows)?.into_iter().map(|watch| (watch.lease, watch)).collect())
}

/// Adds watches that begin. Those of one lease must be there once.
///
/// # Errors
/// [`StoreError::is_unique_violation`] if another process began one of them since it was looked for.
pub async fn begin(tx: &mut Tx, watches: &[&Watch]) -> Result<(), StoreError> {
    put(tx, watches, "").await
}

/// Writes watches that are locked as they stand. Those of one lease must be there once.
pub async fn save(tx: &mut Tx, watches: &[&Watch]) -> Result<(), StoreError> {
    let update = " ON CONFLICT (lease) DO UPDATE SET email = excluded.email, seen_out_at = excluded.seen_out_at, \
                  out_version = excluded.out_version, until = excluded.until, newest_at = excluded.newest_at, \
                  newest_enrolled = excluded.newest_enrolled, absent_at = excluded.absent_at, enrolled_at = excluded.enrolled_at, \
                  log_enrolled = excluded.log_enrolled, log_removed = excluded.log_removed, proved_at = excluded.proved_at, \
                  proof = excluded.proof, reported_at = excluded.reported_at, next_read_at = excluded.next_read_at, \
                  ended_at = excluded.ended_at, version = excluded.version, traceparent = excluded.traceparent, \
                  tracestate = excluded.tracestate, message = excluded.message";
    put(tx, watches, update).await
}

async fn put(tx: &mut Tx, watches: &[&Watch], on_conflict: &'static str) -> Result<(), StoreError> {
    for part in watches.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(concat!("INSERT INTO watch (", columns!(), ") "));
            query.push_rows(part.iter().map(|watch| {
                let evidence = &watch.evidence;
                row![
                    watch.lease.uuid(), watch.organisation.as_str(), watch.account.as_str(),
                    watch.email.as_ref().map(|email| email.as_str().to_owned()), evidence.seen_out_at,
                    evidence.out_version.map(|version| version.0), watch.until, evidence.newest.map(|told| told.begun_at),
                    evidence.newest.map(|told| told.enrolled), evidence.absent_at, evidence.enrolled_at, evidence.logged.enrolled,
                    evidence.logged.removed, evidence.proof.as_ref().map(|proof| proof.seen_at),
                    evidence.proof.as_ref().map(|proof| proof.words.clone()), watch.reported_at, watch.next_read_at,
                    watch.ended_at, watch.version, &watch.trace.traceparent, &watch.trace.tracestate, watch.message.uuid(),
                ]
            }));
            query.push(on_conflict);
            query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes what a round saw: one statement. Gives the leases whose row was still the one that was read.
pub async fn update(tx: &mut Tx, watches: &[&Watch]) -> Result<Vec<LeaseId>, StoreError> {
    let mut written = Vec::with_capacity(watches.len());
    for part in watches.chunks(ROWS) {
        let leases: Vec<Uuid> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "UPDATE watch SET version = version + 1, newest_at = v.column3, newest_enrolled = v.column4, absent_at = v.column5, \
                 enrolled_at = v.column6, log_enrolled = v.column7, log_removed = v.column8, proved_at = v.column9, proof = v.column10, \
                 reported_at = v.column11, next_read_at = v.column12, email = v.column13 FROM (",
            );
            query.push_rows(part.iter().map(|watch| {
                let evidence = &watch.evidence;
                row![
                    watch.lease.uuid(), watch.version, evidence.newest.map(|told| told.begun_at),
                    evidence.newest.map(|told| told.enrolled), evidence.absent_at, evidence.enrolled_at, evidence.logged.enrolled,
                    evidence.logged.removed, evidence.proof.as_ref().map(|proof| proof.seen_at),
                    evidence.proof.as_ref().map(|proof| proof.words.clone()), watch.reported_at, watch.next_read_at,
                    watch.email.as_ref().map(|email| email.as_str().to_owned()),
                ]
            }));
            query.push(") AS v WHERE watch.lease = v.column1 AND watch.version = v.column2 RETURNING lease");
            query.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(c).await
        })?;
        written.extend(leases.into_iter().map(LeaseId::from_uuid));
    }
    Ok(written)
}

/// Only moves the next read of these: nothing else of them changed.
pub async fn postpone(tx: &mut Tx, leases: &[LeaseId], to: Timestamp) -> Result<(), StoreError> {
    for part in leases.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE watch SET next_read_at = ");
            query.push_bind(to).push(" WHERE next_read_at IS NOT NULL AND lease ");
            query.push_one_of(part.iter().map(|lease| lease.uuid()));
            query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// The watches of an organisation that are due, the longest overdue first.
pub async fn due(db: &Database, organisation: &OrganisationId, now: Timestamp, most: i64) -> Result<Vec<Watch>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM watch WHERE organisation = $1 AND next_read_at <= $2 AND until > $2 ORDER BY next_read_at LIMIT $3"
    );
    watches(on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(now).bind(most).fetch_all(pool).await)?)
}

/// How many are watched, and when the first is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Schedule {
    /// Watches that still need reads.
    pub watched: i64,
    /// When the first of them is due.
    pub first: Option<DateTime<Utc>>,
}

/// How many are watched in an organisation, and when the first is due.
pub async fn schedule(db: &Database, organisation: &OrganisationId, now: Timestamp) -> Result<Schedule, StoreError> {
    let sql = "SELECT COUNT(*) AS watched, MIN(next_read_at) AS first FROM watch \
               WHERE organisation = $1 AND next_read_at IS NOT NULL AND until > $2";
    Ok(on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(now).fetch_one(pool).await)?)
}

/// Watches that wait for longer than reads alone should take, whose placement has a version: those the log may help.
pub async fn waiting(
    db: &Database,
    organisation: &OrganisationId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<Watch>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM watch WHERE organisation = $1 AND next_read_at IS NOT NULL AND until > $2 AND seen_out_at <= $3 \
         AND out_version IS NOT NULL ORDER BY seen_out_at LIMIT 5000"
    );
    watches(on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).bind(now).bind(since).fetch_all(pool).await)?)
}

/// Forgets watches that are over since before `before`.
pub async fn forget(tx: &mut Tx, organisation: &OrganisationId, before: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM watch WHERE organisation = $1 AND (ended_at < $2 OR until < $2)";
    Ok(
        on_tx!(tx, c => sqlx::query(sql).bind(organisation.as_str()).bind(before).execute(c).await.map(|done| done.rows_affected()))?,
    )
}
