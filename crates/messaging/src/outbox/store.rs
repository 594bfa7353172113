//! The table `outbox`. Only this file reads and writes it.

use std::collections::{HashMap, HashSet};

use homeward_store::{Database, Engine, PushRows, StoreError, Tx, dialect, on, on_tx, row, transaction};
use homeward_types::{MessageId, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::envelope::Envelope;
use crate::envelope::stored::Stored;

/// Rows in one INSERT. Thirteen values each: far below SQLite's 32,766 and PostgreSQL's 65,535 for a statement.
const ROWS: usize = 500;

/// Ranges of numbers in one WHERE.
const RANGES: usize = 200;

/// Statements for up to so many rows stay prepared; the text of each other number of rows would be another statement to keep.
const CACHED: usize = 8;

/// Most confirmed rows whose deletion rides in somebody's transaction: enough to keep up, too few to be felt.
pub(super) const RIDING: usize = 2_000;

/// `number BETWEEN a AND b OR …`: runs of our own numbers, so that a batch is one short statement.
macro_rules! push_ranges {
    ($query:expr, $ranges:expr) => {
        for (at, (first, last)) in $ranges.iter().enumerate() {
            $query.push(if at == 0 { "number BETWEEN " } else { " OR number BETWEEN " }).push_bind(*first);
            $query.push(" AND ").push_bind(*last);
        }
    };
}

/// The columns of [`Stored`], the service's name bound as `$1`.
macro_rules! select_stored {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, organisation, correlation, causation, idempotency_key, CAST($1 AS TEXT) AS sender, ",
            "number AS sender_number, entity_version, traceparent, tracestate, at, expires_at, payload, ",
            "COALESCE(parked_reason, '') AS reason FROM outbox ",
            $rest
        )
    };
}

/// A message that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The message.
    pub envelope: Envelope,
    /// Why it is not published.
    pub reason: String,
}

/// How much is waiting to be confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not yet confirmed.
    pub waiting: u64,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// Messages that wait for a person.
    pub parked: u64,
}

/// Inserts messages, claimed until then, and gives each its number.
pub(super) async fn insert(tx: &mut Tx, messages: &mut [Envelope], claimed_until: Timestamp) -> Result<(), StoreError> {
    for chunk in messages.chunks_mut(ROWS) {
        let numbered: Vec<(Uuid, i64)> = on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new(
                "INSERT INTO outbox (id, kind, organisation, correlation, causation, idempotency_key, entity_version, \
                 traceparent, tracestate, at, expires_at, payload, claimed_until) ",
            );
            query.push_rows(chunk.iter().map(|message| row![
                message.id.uuid(), &message.kind, message.organisation.as_str(), message.correlation,
                message.causation.map(MessageId::uuid), &message.idempotency_key, message.entity_version,
                &message.trace.traceparent, &message.trace.tracestate, message.at, message.expires_at, &message.payload[..],
                claimed_until,
            ]));
            query.push(" RETURNING id, number").build_query_as().persistent(D::ONE_TEXT || chunk.len() <= CACHED).fetch_all(c).await
        })?;
        number(chunk, &numbered)?;
    }
    Ok(())
}

/// Engines promise no order for RETURNING, though both keep it.
fn number(messages: &mut [Envelope], numbered: &[(Uuid, i64)]) -> Result<(), StoreError> {
    let in_order = numbered.len() == messages.len() && numbered.iter().zip(&*messages).all(|((id, _), m)| *id == m.id.uuid());
    let by_id: HashMap<Uuid, i64> = if in_order { HashMap::new() } else { numbered.iter().copied().collect() };
    for (at, message) in messages.iter_mut().enumerate() {
        let number = if in_order { Some(numbered[at].1) } else { by_id.get(&message.id.uuid()).copied() };
        message.sender_number = number.ok_or_else(|| StoreError::Inconsistent {
            table: "outbox",
            column: "number",
            row: message.id.to_string(),
            reason: "the row just inserted did not come back".to_owned(),
        })?;
    }
    Ok(())
}

/// Deletes rows that the broker confirmed: one statement for a few hundred runs of numbers.
pub(super) async fn delete(tx: &mut Tx, numbers: &[i64]) -> Result<(), StoreError> {
    for chunk in ranges(numbers).chunks(RANGES) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("DELETE FROM outbox WHERE ");
            push_ranges!(query, chunk);
            query.build().persistent(chunk.len() <= CACHED).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Moves the end of the claim on these rows.
pub(super) async fn claim_until(tx: &mut Tx, numbers: &[i64], until: Timestamp) -> Result<(), StoreError> {
    for chunk in ranges(numbers).chunks(RANGES) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE outbox SET claimed_until = ");
            query.push_bind(until).push(" WHERE parked_reason IS NULL AND (");
            push_ranges!(query, chunk);
            query.push(")").build().persistent(chunk.len() <= CACHED).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Parks these rows: they wait for a person.
pub(super) async fn park(tx: &mut Tx, numbers: &[i64], reason: &str) -> Result<(), StoreError> {
    for chunk in ranges(numbers).chunks(RANGES) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE outbox SET parked_reason = ");
            query.push_bind(reason).push(" WHERE ");
            push_ranges!(query, chunk);
            query.build().persistent(chunk.len() <= CACHED).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

#[derive(Debug, sqlx::FromRow)]
struct ParkedRow {
    #[sqlx(flatten)]
    stored: Stored,
    reason: String,
}

/// Whether a relay would find anything. Cheap, and takes no writer away.
pub(super) async fn is_anything_expired(db: &Database, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE claimed_until <= $1 AND parked_reason IS NULL)";
    Ok(on!(db, pool => sqlx::query_scalar(sql).bind(now).fetch_one(pool).await)?)
}

/// Claims rows whose claim has expired, oldest first.
pub(super) async fn claim_expired(
    tx: &mut Tx,
    sender: &str,
    now: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Vec<Envelope>, StoreError> {
    let sql = dialect!(tx,
        pg: select_stored!("WHERE claimed_until <= $2 AND parked_reason IS NULL ORDER BY number LIMIT $3 FOR UPDATE SKIP LOCKED"),
        lite: select_stored!("WHERE claimed_until <= $2 AND parked_reason IS NULL ORDER BY number LIMIT $3"));
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows: Vec<Stored> = on_tx!(tx, c => sqlx::query_as(sql).bind(sender).bind(now).bind(limit).fetch_all(c).await)?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.sender_number).collect();
    claim_until(tx, &numbers, until).await?;
    rows.into_iter().map(|row| row.envelope("outbox")).collect()
}

/// Which of these messages still have a row.
pub(super) async fn present(db: &Database, ids: &[MessageId]) -> Result<HashSet<MessageId>, StoreError> {
    let mut found = HashSet::new();
    for chunk in ids.chunks(ROWS) {
        let rows: Vec<Uuid> = on!(db, pool : D => {
            let mut query = QueryBuilder::<D>::new("SELECT id FROM outbox WHERE id ");
            query.push_one_of(chunk.iter().map(|id| id.uuid())).build_query_scalar().persistent(D::ONE_TEXT || chunk.len() <= CACHED).fetch_all(pool).await
        })?;
        found.extend(rows.into_iter().map(MessageId::from_uuid));
    }
    Ok(found)
}

/// The highest number ever given, 0 before the first.
pub(super) async fn last_number(db: &Database) -> Result<i64, StoreError> {
    let sql = dialect!(db,
        pg: "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'number')::regclass), 0)",
        lite: "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)");
    Ok(on!(db, pool => sqlx::query_scalar(sql).fetch_one(pool).await)?)
}

/// The next number is above `number`.
pub(super) async fn go_on_above(db: &Database, number: i64) -> Result<(), StoreError> {
    transaction!(db, "outbox.go_on_above", async |tx| -> Result<(), StoreError> {
        let sql = dialect!(tx,
            pg: "SELECT setval(pg_get_serial_sequence('outbox', 'number')::regclass, \
                 GREATEST($1, COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'number')::regclass), 0), 1))",
            lite: "UPDATE sqlite_sequence SET seq = MAX(seq, $1) WHERE name = 'outbox'");
        let first = dialect!(tx,
            pg: "SELECT $1 WHERE FALSE",
            lite: "INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', $1 WHERE NOT EXISTS \
                   (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')");
        on_tx!(tx, c => sqlx::query(sql).bind(number).execute(c).await.map(drop))?;
        on_tx!(tx, c => sqlx::query(first).bind(number).execute(c).await.map(drop))?;
        Ok(())
    })
}

/// How much is waiting.
pub(super) async fn backlog(db: &Database) -> Result<Backlog, StoreError> {
    let sql = "SELECT COUNT(*) FILTER (WHERE parked_reason IS NULL), MIN(at) FILTER (WHERE parked_reason IS NULL), \
               COUNT(*) FILTER (WHERE parked_reason IS NOT NULL) FROM outbox";
    let (waiting, oldest, parked): (i64, Option<Timestamp>, i64) = on!(db, pool => sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(Backlog { waiting: waiting.unsigned_abs(), oldest, parked: parked.unsigned_abs() })
}

/// The parked rows, oldest first.
pub(super) async fn parked(db: &Database, sender: &str, most: usize) -> Result<Vec<Parked>, StoreError> {
    let sql = select_stored!("WHERE parked_reason IS NOT NULL ORDER BY number LIMIT $2");
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows: Vec<ParkedRow> = on!(db, pool => sqlx::query_as(sql).bind(sender).bind(limit).fetch_all(pool).await)?;
    rows.into_iter().map(|row| Ok(Parked { envelope: row.stored.envelope("outbox")?, reason: row.reason })).collect()
}

/// Lets a relay take these parked rows again. Says how many there were.
pub(super) async fn unpark(tx: &mut Tx, ids: &[MessageId], now: Timestamp) -> Result<u64, StoreError> {
    let mut changed = 0;
    for chunk in ids.chunks(ROWS) {
        changed += on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE outbox SET parked_reason = NULL, claimed_until = ");
            query.push_bind(now).push(" WHERE parked_reason IS NOT NULL AND id ");
            query.push_one_of(chunk.iter().map(|id| id.uuid())).build().persistent(D::ONE_TEXT || chunk.len() <= CACHED).execute(c).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(changed)
}

/// Runs of consecutive numbers, each as its first and last.
fn ranges(numbers: &[i64]) -> Vec<(i64, i64)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if number <= *last + 1 => *last = number,
            Some(_) | None => runs.push((number, number)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::ranges;

    proptest! {
        #[test]
        fn ranges_hold_the_numbers_and_no_other(numbers in prop::collection::vec(0..200_i64, 0..150)) {
            let runs = ranges(&numbers);
            let held: Vec<i64> = runs.iter().flat_map(|(first, last)| *first..=*last).collect();
            let expected: Vec<i64> = numbers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(held, expected);
            // As few as possible: no two runs touch.
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
