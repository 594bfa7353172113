//! The table `dead_letter`. Only this file reads and writes it.

use std::collections::HashMap;
use std::sync::Arc;

use homeward_store::{Database, Engine, PushRows, StoreError, on, on_tx, row, transaction};
use homeward_types::{MessageId, Timestamp};
use sqlx::QueryBuilder;

use crate::broker::DeadLetter;
use crate::envelope::Envelope;
use crate::envelope::stored::Stored;

/// Rows in one statement: 17 values each, below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS: usize = 500;

const COLUMNS: &str = "id, kind, organisation, correlation, causation, idempotency_key, sender, sender_number, entity_version, \
                       traceparent, tracestate, at, expires_at, payload";

#[derive(Debug, sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    stored: Stored,
    reason: String,
    since: Timestamp,
}

/// Keeps dead letters of a queue. One that is there already gets the new reason.
pub(super) async fn insert(
    db: &Database,
    queue: &str,
    dead: &[(Arc<Envelope>, &str)],
    since: Timestamp,
) -> Result<(), StoreError> {
    transaction!(db, "dead_letter.insert", async |tx| -> Result<(), StoreError> {
        for chunk in dead.chunks(ROWS) {
            on_tx!(tx, c : D => {
                let mut query = QueryBuilder::<D>::new("INSERT INTO dead_letter (queue, reason, since, ");
                query.push(COLUMNS).push(") ");
                query.push_rows(chunk.iter().map(|(message, reason)| row![
                    queue, *reason, since, message.id.uuid(), &message.kind, message.organisation.as_str(), message.correlation,
                    message.causation.map(MessageId::uuid), &message.idempotency_key, &message.sender, message.sender_number,
                    message.entity_version, &message.trace.traceparent, &message.trace.tracestate, message.at, message.expires_at,
                    &message.payload[..],
                ]));
                query.push(" ON CONFLICT (queue, id) DO UPDATE SET reason = excluded.reason, since = excluded.since");
                query.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
            })?;
        }
        Ok(())
    })
}

/// The dead letters of a queue, oldest first.
pub(super) async fn list(db: &Database, queue: &str, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows: Vec<Row> = on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new("SELECT reason, since, ");
        query.push(COLUMNS).push(" FROM dead_letter WHERE queue = ").push_bind(queue).push(" ORDER BY since, id LIMIT ").push_bind(most);
        query.build_query_as().fetch_all(pool).await
    })?;
    let letter = |row: Row| {
        Ok(DeadLetter { envelope: Ok(Arc::new(row.stored.envelope("dead_letter")?)), reason: row.reason, since: Some(row.since) })
    };
    rows.into_iter().map(letter).collect()
}

/// Those of these messages that are dead in this queue.
pub(super) async fn find(db: &Database, queue: &str, ids: &[MessageId]) -> Result<HashMap<MessageId, Arc<Envelope>>, StoreError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Stored> = on!(db, pool : D => {
            let mut query = QueryBuilder::<D>::new("SELECT ");
            query.push(COLUMNS).push(" FROM dead_letter WHERE queue = ").push_bind(queue).push(" AND id ");
            query.push_one_of(chunk.iter().map(|id| id.uuid())).build_query_as().persistent(D::ONE_TEXT).fetch_all(pool).await
        })?;
        for row in rows {
            let envelope = row.envelope("dead_letter")?;
            found.insert(envelope.id, Arc::new(envelope));
        }
    }
    Ok(found)
}

/// Forgets dead letters that went through at last.
pub(super) async fn delete(db: &Database, queue: &str, ids: &[MessageId]) -> Result<(), StoreError> {
    transaction!(db, "dead_letter.delete", async |tx| -> Result<(), StoreError> {
        for chunk in ids.chunks(ROWS) {
            on_tx!(tx, c : D => {
                let mut query = QueryBuilder::<D>::new("DELETE FROM dead_letter WHERE queue = ");
                query.push_bind(queue).push(" AND id ");
                query.push_one_of(chunk.iter().map(|id| id.uuid())).build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
            })?;
        }
        Ok(())
    })
}
