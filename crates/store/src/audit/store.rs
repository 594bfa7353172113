//! The SQL of the audit log, all of it.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;

use super::entry::{Entry, Personal};
use super::link::{Digest, StoredEntry};
use crate::database::Database;
use crate::error::StoreError;
use crate::rows::{Engine, PushRows};
use crate::tx::Tx;
use crate::{on, on_tx, row};

/// A statement for more rows than this is not worth a place in a connection's cache: few have the same number again.
const CACHED_ROWS: usize = 32;

/// The end of a chain.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct End {
    pub(super) organisation: String,
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
}

/// The end of a chain, with how far some process's checkpoint file goes.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Anchored {
    #[sqlx(flatten)]
    pub(super) end: End,
    pub(super) anchored_seq: i64,
}

/// The ends of several chains: place and hash of the newest entry, by organisation.
pub(super) type Ends = BTreeMap<String, (i64, Digest)>;

/// The place that an entry was given.
pub(super) struct Linked {
    pub(super) number: i64,
    pub(super) seq: i64,
    pub(super) hash: Digest,
}

/// An entry with its place, and its personal text unless that was erased.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct LinkedEntry {
    #[sqlx(flatten)]
    pub(super) entry: StoredEntry,
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
    pub(super) salt: Option<Vec<u8>>,
    pub(super) text: Option<String>,
}

pub(super) async fn insert_personal(tx: &mut Tx, rows: &[(&Entry, Option<Personal>)]) -> Result<(), StoreError> {
    let texts: Vec<_> =
        rows.iter().filter_map(|(entry, personal)| Some((personal.as_ref()?, entry.personal.as_deref()?))).collect();
    if texts.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new("INSERT INTO audit_personal (digest, salt, text) ");
        insert.push_rows(texts.iter().map(|(personal, text)| row![personal.digest.as_slice(), personal.salt.as_slice(), *text]));
        insert.build().persistent(D::ONE_TEXT || rows.len() <= CACHED_ROWS).execute(c).await.map(drop)
    })?;
    Ok(())
}

pub(super) async fn insert_entries(tx: &mut Tx, rows: &[(&Entry, Option<Personal>)]) -> Result<(), StoreError> {
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new(
            "INSERT INTO audit_entry (organisation, at, actor, action, subject, detail, trace_id, personal) ");
        insert.push_rows(rows.iter().map(|(entry, personal)| row![
            &entry.organisation, entry.at, &entry.actor, entry.action, &entry.subject, entry.detail.to_string(), &entry.trace_id,
            personal.as_ref().map(|personal| personal.digest.as_slice()),
        ]));
        insert.build().persistent(D::ONE_TEXT || rows.len() <= CACHED_ROWS).execute(c).await.map(drop)
    })?;
    Ok(())
}

pub(super) async fn delete_personal(tx: &mut Tx, organisation: &str, subjects: &[String]) -> Result<u64, StoreError> {
    if subjects.is_empty() {
        return Ok(0);
    }
    Ok(on_tx!(tx, c : D => {
        let mut delete = QueryBuilder::<D>::new(
            "DELETE FROM audit_personal WHERE digest IN (SELECT personal FROM audit_entry WHERE personal IS NOT NULL AND organisation = ");
        delete.push_bind(organisation).push(" AND subject ");
        delete.push_one_of(subjects.iter()).push(")").build().execute(c).await.map(|done| done.rows_affected())
    })?)
}

pub(super) async fn has_unlinked(database: &Database) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM audit_entry WHERE seq IS NULL)";
    Ok(on!(database, pool => sqlx::query_scalar(sql).fetch_one(pool).await)?)
}

/// Chainers of other processes wait. SQLite has one writer anyway.
pub(super) async fn take_turn(tx: &mut Tx) -> Result<(), StoreError> {
    let sql = crate::dialect!(tx,
        pg: "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.audit_entry', 0))",
        lite: "SELECT 1");
    on_tx!(tx, c => sqlx::query(sql).execute(c).await.map(drop))?;
    Ok(())
}

pub(super) async fn unlinked(tx: &mut Tx, limit: i64) -> Result<Vec<StoredEntry>, StoreError> {
    Ok(on_tx!(tx, c => sqlx::query_as(
        "SELECT number, organisation, at, actor, action, subject, detail, trace_id, personal FROM audit_entry \
         WHERE seq IS NULL ORDER BY number LIMIT $1")
        .bind(limit).fetch_all(c).await)?)
}

/// The stored ends of these organisations' chains; a new chain has none.
pub(super) async fn ends(tx: &mut Tx, organisations: impl ExactSizeIterator<Item = &String>) -> Result<Vec<End>, StoreError> {
    if organisations.len() == 0 {
        return Ok(Vec::new());
    }
    Ok(on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new("SELECT organisation, seq, hash FROM audit_checkpoint WHERE organisation ");
        select.push_one_of(organisations).build_query_as().fetch_all(c).await
    })?)
}

pub(super) async fn add_links(tx: &mut Tx, linked: &[Linked]) -> Result<(), StoreError> {
    if linked.is_empty() {
        return Ok(());
    }
    let changed = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("WITH v (number, seq, hash) AS (");
        update.push_rows(linked.iter().map(|link| row![link.number, link.seq, link.hash.as_slice()]));
        update.push(") UPDATE audit_entry SET seq = v.seq, hash = v.hash FROM v WHERE audit_entry.number = v.number AND audit_entry.seq IS NULL");
        update.build().persistent(D::ONE_TEXT).execute(c).await.map(|done| done.rows_affected())
    })?;
    if changed == linked.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::NotOneRow { what: "unlinked audit entry each", changed })
    }
}

pub(super) async fn move_ends(tx: &mut Tx, ends: &Ends) -> Result<(), StoreError> {
    if ends.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut upsert = QueryBuilder::<D>::new("INSERT INTO audit_checkpoint (organisation, seq, hash, anchored_seq) ");
        upsert.push_rows(ends.iter().map(|(organisation, (seq, hash))| row![organisation, *seq, hash.as_slice(), 0_i64]));
        upsert.push(" ON CONFLICT (organisation) DO UPDATE SET seq = excluded.seq, hash = excluded.hash");
        upsert.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

pub(super) async fn note_anchors(tx: &mut Tx, ends: &[&End]) -> Result<(), StoreError> {
    on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("WITH v (organisation, seq) AS (");
        update.push_rows(ends.iter().map(|end| row![&end.organisation, end.seq]));
        update.push(
            ") UPDATE audit_checkpoint SET anchored_seq = v.seq FROM v \
             WHERE audit_checkpoint.organisation = v.organisation AND audit_checkpoint.anchored_seq < v.seq");
        update.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Where each chain ends, and how far it is anchored.
pub(super) async fn anchored(database: &Database) -> Result<Vec<Anchored>, StoreError> {
    Ok(on!(database, pool => sqlx::query_as(
        "SELECT organisation, seq, hash, anchored_seq FROM audit_checkpoint ORDER BY organisation").fetch_all(pool).await)?)
}

/// Where each chain ends, as the database says.
pub(super) async fn all_ends(database: &Database) -> Result<BTreeMap<String, i64>, StoreError> {
    let ends: Vec<(String, i64)> =
        on!(database, pool => sqlx::query_as("SELECT organisation, seq FROM audit_checkpoint").fetch_all(pool).await)?;
    Ok(ends.into_iter().collect())
}

/// Every organisation in the log, with how many of its entries have no place yet.
pub(super) async fn count_unlinked(database: &Database) -> Result<BTreeMap<String, i64>, StoreError> {
    let counts: Vec<(String, i64)> = on!(database, pool => sqlx::query_as(
        "SELECT organisation, COUNT(*) FILTER (WHERE seq IS NULL) FROM audit_entry GROUP BY organisation").fetch_all(pool).await)?;
    Ok(counts.into_iter().collect())
}

/// The chain from behind the place `after`.
pub(super) async fn page(
    database: &Database,
    organisation: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<LinkedEntry>, StoreError> {
    Ok(on!(database, pool => sqlx::query_as(
        "SELECT e.number, e.organisation, e.at, e.actor, e.action, e.subject, e.detail, e.trace_id, e.personal, e.seq, e.hash, p.salt, p.text \
         FROM audit_entry e LEFT JOIN audit_personal p ON p.digest = e.personal \
         WHERE e.organisation = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3")
        .bind(organisation).bind(after).bind(limit).fetch_all(pool).await)?)
}
