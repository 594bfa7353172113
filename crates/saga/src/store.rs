//! The table `saga`: loaded and written for many sagas in one statement each. `timers.rs` reads its `due_at`.

use homeward_chassis::telemetry::TraceContext;
use homeward_store::{Database, PushRows, StoreError, Tx, dialect, on, on_tx, row};
use homeward_types::Timestamp;
use serde_json::value::RawValue;
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

/// Rows in one statement. At most fourteen values each: far below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS: usize = 500;

macro_rules! columns {
    () => {
        "id, name, version, step, data, entered_at, asked_at, asked_again, reminded, traceparent, tracestate, row_version, closed_at"
    };
}

/// A row as it lies in the table. What it means is for the coordinator to find out.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) step: Option<String>,
    pub(crate) data: Json<Box<RawValue>>,
    pub(crate) entered_at: Timestamp,
    pub(crate) asked_at: Timestamp,
    pub(crate) asked_again: i64,
    pub(crate) reminded: i64,
    #[sqlx(flatten)]
    pub(crate) trace: StoredTrace,
    pub(crate) row_version: i64,
    pub(crate) closed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct StoredTrace {
    pub(crate) traceparent: String,
    pub(crate) tracestate: String,
}

impl From<StoredTrace> for TraceContext {
    fn from(stored: StoredTrace) -> Self {
        Self { traceparent: stored.traceparent, tracestate: stored.tracestate }
    }
}

/// A row to write: everything that changes.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) id: Uuid,
    pub(crate) step: Option<String>,
    pub(crate) data: Box<RawValue>,
    pub(crate) entered_at: Timestamp,
    pub(crate) asked_at: Timestamp,
    pub(crate) asked_again: i64,
    pub(crate) reminded: i64,
    pub(crate) due_at: Option<Timestamp>,
    /// The version that was read; 0 for a new row.
    pub(crate) row_version: i64,
    pub(crate) closed_at: Option<Timestamp>,
}

/// What a new row holds besides.
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) version: i64,
    pub(crate) trace: TraceContext,
    pub(crate) write: Write,
}

/// Loads these sagas and keeps them from other writers, in id order so that two transactions do not wait for each other.
/// Ids without a row are left out.
pub(crate) async fn load(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Stored>, StoreError> {
    let lock = dialect!(tx, pg: " ORDER BY id FOR UPDATE", lite: " ORDER BY id");
    locked(tx, ids, lock).await
}

/// As [`load`], for a transaction that holds more than sagas by now: it waits for nobody, and sagas in other hands are left out.
pub(crate) async fn load_free(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Stored>, StoreError> {
    let lock = dialect!(tx, pg: " ORDER BY id FOR UPDATE SKIP LOCKED", lite: " ORDER BY id");
    locked(tx, ids, lock).await
}

async fn locked(tx: &mut Tx, ids: &[Uuid], lock: &'static str) -> Result<Vec<Stored>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Stored> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM saga WHERE id "));
            query.push_one_of(chunk.iter().copied()).push(lock).build_query_as().fetch_all(c).await
        })?;
        found.extend(rows);
    }
    Ok(found)
}

/// Reads these sagas without keeping them, for showing.
pub(crate) async fn read(db: &Database, ids: &[Uuid]) -> Result<Vec<Stored>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Stored> = on!(db, pool : D => {
            let mut query = QueryBuilder::<D>::new(concat!("SELECT ", columns!(), " FROM saga WHERE id "));
            query.push_one_of(chunk.iter().copied()).push(" ORDER BY id").build_query_as().fetch_all(pool).await
        })?;
        found.extend(rows);
    }
    Ok(found)
}

/// Inserts new sagas. Says how many there were not yet.
pub(crate) async fn insert(tx: &mut Tx, name: &str, now: Timestamp, rows: &[Born]) -> Result<u64, StoreError> {
    let mut inserted = 0;
    for chunk in rows.chunks(ROWS) {
        inserted += on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO saga (id, name, version, step, data, entered_at, asked_at, asked_again, reminded, due_at, \
                 traceparent, tracestate, row_version, created_at, closed_at) ",
            );
            query.push_rows(chunk.iter().map(|row| {
                let write = &row.write;
                row![
                    write.id, name, row.version, &write.step, Json(&write.data), write.entered_at, write.asked_at,
                    write.asked_again, write.reminded, write.due_at, &row.trace.traceparent, &row.trace.tracestate,
                    write.row_version + 1, now, write.closed_at,
                ]
            }));
            query.push(" ON CONFLICT (id) DO NOTHING").build().execute(c).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(inserted)
}

/// Writes sagas that were loaded in this transaction. Says how many still had the version that was read.
pub(crate) async fn update(tx: &mut Tx, rows: &[Write]) -> Result<u64, StoreError> {
    let mut updated = 0;
    for chunk in rows.chunks(ROWS) {
        updated += on_tx!(tx, c : D => {
            // Both engines call the columns of VALUES column1, column2, …; each takes its type from the bound values.
            let mut query = QueryBuilder::<D>::new(
                "UPDATE saga SET step = v.column3, data = v.column4, entered_at = v.column5, asked_at = v.column6, \
                 asked_again = v.column7, reminded = v.column8, due_at = v.column9, closed_at = v.column10, \
                 row_version = saga.row_version + 1 FROM (",
            );
            query.push_rows(chunk.iter().map(|write| row![
                write.id, write.row_version, &write.step, Json(&write.data), write.entered_at, write.asked_at, write.asked_again,
                write.reminded, write.due_at, write.closed_at,
            ]));
            query.push(") AS v WHERE saga.id = v.column1 AND saga.row_version = v.column2")
                .build().execute(c).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(updated)
}

/// Definitions that open sagas run under: name, version and how many.
pub(crate) async fn open_by_definition(db: &Database) -> Result<Vec<(String, i64, i64)>, StoreError> {
    let sql = "SELECT name, version, COUNT(*) FROM saga WHERE step IS NOT NULL GROUP BY name, version ORDER BY name, version";
    Ok(on!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?)
}
