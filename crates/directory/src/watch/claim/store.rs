//! The table `watcher`. Only this file reads and writes it.

use chrono::{DateTime, Utc};
use homeward_provider::Cursor;
use homeward_store::{Database, StoreError, Tx, on, on_tx};
use homeward_types::{OrganisationId, Timestamp};
use sqlx::FromRow;
use uuid::Uuid;

/// Takes or renews the right to watch; `false` while another process has it.
pub async fn claim(
    tx: &mut Tx,
    organisation: &OrganisationId,
    by: Uuid,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO watcher (organisation, claimed_by, claimed_until) VALUES ($1, $2, $3) \
               ON CONFLICT (organisation) DO UPDATE SET claimed_by = $2, claimed_until = $3 \
               WHERE watcher.claimed_by = $2 OR watcher.claimed_until <= $4";
    let changed = on_tx!(tx, c => sqlx::query(sql)
        .bind(organisation.as_str()).bind(by).bind(until).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

#[derive(FromRow)]
struct Row {
    log_cursor: Option<String>,
    log_read_at: Option<DateTime<Utc>>,
}

/// How far the provider's log was read, and when; `None` if it never was.
pub async fn log_cursor(db: &Database, organisation: &OrganisationId) -> Result<Option<(Cursor, Timestamp)>, StoreError> {
    let sql = "SELECT log_cursor, log_read_at FROM watcher WHERE organisation = $1";
    let row: Option<Row> = on!(db, pool => sqlx::query_as(sql).bind(organisation.as_str()).fetch_optional(pool).await)?;
    Ok(row.and_then(|row| row.log_cursor.map(Cursor::new).zip(row.log_read_at)))
}

/// Writes how far the provider's log was read; `false` if another process watches by now.
pub async fn save_log_cursor(
    tx: &mut Tx,
    organisation: &OrganisationId,
    cursor: Option<&Cursor>,
    by: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE watcher SET log_cursor = $1, log_read_at = $2 WHERE organisation = $3 AND claimed_by = $4";
    let changed = on_tx!(tx, c => sqlx::query(sql)
        .bind(cursor.map(|cursor| cursor.as_str().to_owned())).bind(now).bind(organisation.as_str()).bind(by)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}
