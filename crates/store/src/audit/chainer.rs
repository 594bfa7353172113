//! Links the entries that others wrote, and anchors the chain outside the database.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use homeward_types::{Clock, Timestamp};
use sqlx::QueryBuilder;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::link::{Digest, GENESIS, StoredEntry, link};
use super::signer::Signer;
use crate::database::Database;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::{on, on_tx, transaction};

/// Entries linked in one transaction: a few milliseconds, so that others who write are not kept waiting.
const BATCH: i64 = 500;

/// How long an entry waits at most before it is looked at. Linked *and* anchored within a second, as the procedure asks.
const EVERY: Duration = Duration::from_millis(500);

/// Links a service's audit log. Any number may run on one database: they take turns.
pub struct Chainer {
    database: Database,
    clock: Arc<dyn Clock>,
    service: String,
    signer: Signer,
    file: CheckpointFile,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    /// Entries linked.
    pub linked: u64,
    /// Checkpoints added to the file, at most one for each organisation.
    pub checkpoints: u64,
}

#[derive(Debug, sqlx::FromRow)]
struct End {
    organisation: String,
    seq: i64,
    hash: Vec<u8>,
}

struct Linked {
    number: i64,
    seq: i64,
    hash: Digest,
}

impl Chainer {
    /// A chainer for the log of `service`, signing with `signer` into `file`.
    pub fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        service: impl Into<String>,
        signer: Signer,
        file: CheckpointFile,
    ) -> Self {
        Self { database, clock, service: service.into(), signer, file }
    }

    /// Links until told to stop, and once more then. Trouble is logged and tried again: nothing is lost by waiting.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut well = true;
        loop {
            let last = shutdown.is_cancelled();
            match self.tick().await {
                Ok(_) => well = true,
                // Once for each time of trouble, not every half second of it.
                Err(error) if well => {
                    well = false;
                    tracing::error!(
                        service = self.service,
                        error = &error as &dyn Error,
                        "the audit log cannot be chained; trying on"
                    );
                }
                Err(_) => {}
            }
            if last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Links everything that is committed now, and anchors it.
    ///
    /// # Errors
    /// [`StoreError`] of the database, or [`StoreError::File`] of the checkpoint file: then what was linked is anchored by a later round.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let mut tick = Tick::default();
        loop {
            let linked = self.link_batch().await?;
            tick.linked += linked;
            if linked < BATCH.unsigned_abs() {
                break;
            }
        }
        tick.checkpoints = self.anchor().await?;
        Ok(tick)
    }

    async fn link_batch(&self) -> Result<u64, StoreError> {
        if !self.has_unlinked().await? {
            return Ok(0);
        }
        transaction!(self.database, "audit_entry.link", async |tx| -> Result<u64, StoreError> {
            take_turn(tx).await?;
            let entries = unlinked(tx).await?;
            let mut ends = ends(tx, &entries).await?;
            let linked = chain(&entries, &mut ends);
            store_links(tx, &linked).await?;
            store_ends(tx, &ends).await?;
            Ok(linked.len() as u64)
        })
    }

    /// Asked outside a transaction, so that an idle log costs its database no writer.
    async fn has_unlinked(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM audit_entry WHERE seq IS NULL)";
        Ok(on!(self.database, pool => sqlx::query_scalar(sql).fetch_one(pool).await)?)
    }

    /// First the file, then the note that it holds them: a crash between the two repeats a line, which does no harm.
    async fn anchor(&self) -> Result<u64, StoreError> {
        let ends: Vec<End> = on!(self.database, pool => sqlx::query_as(
            "SELECT organisation, seq, hash FROM audit_checkpoint WHERE seq > anchored_seq ORDER BY organisation").fetch_all(pool).await)?;
        if ends.is_empty() {
            return Ok(0);
        }
        let lines = self.sign(&ends, self.clock.now());
        let file = self.file.clone();
        let added = tokio::task::spawn_blocking(move || file.append(&lines)).await;
        added.map_err(|source| super::signer::file(self.file.path(), "adding a checkpoint", std::io::Error::other(source)))??;
        transaction!(self.database, "audit_checkpoint.anchor", async |tx| -> Result<(), StoreError> {
            store_anchors(tx, &ends).await
        })?;
        Ok(ends.len() as u64)
    }

    fn sign(&self, ends: &[End], at: Timestamp) -> Vec<Checkpoint> {
        ends.iter().map(|end| Checkpoint::sign(&self.signer, &self.service, &end.organisation, end.seq, &end.hash, at)).collect()
    }
}

/// Chainers of other processes wait. SQLite has one writer anyway.
async fn take_turn(tx: &mut Tx) -> Result<(), StoreError> {
    let sql = crate::dialect!(tx,
        pg: "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.audit_entry', 0))",
        lite: "SELECT 1");
    on_tx!(tx, c => sqlx::query(sql).execute(c).await.map(drop))?;
    Ok(())
}

async fn unlinked(tx: &mut Tx) -> Result<Vec<StoredEntry>, StoreError> {
    Ok(on_tx!(tx, c => sqlx::query_as(
        "SELECT number, organisation, at, actor, action, subject, detail, trace_id, personal FROM audit_entry \
         WHERE seq IS NULL ORDER BY number LIMIT $1")
        .bind(BATCH).fetch_all(c).await)?)
}

/// The present ends of the chains that these entries belong to.
async fn ends(tx: &mut Tx, entries: &[StoredEntry]) -> Result<BTreeMap<String, (i64, Digest)>, StoreError> {
    let mut ends: BTreeMap<String, (i64, Digest)> =
        entries.iter().map(|entry| (entry.organisation.clone(), (0, GENESIS))).collect();
    if ends.is_empty() {
        return Ok(ends);
    }
    let stored: Vec<End> = on_tx!(tx, c : D => {
        let mut select = QueryBuilder::<D>::new("SELECT organisation, seq, hash FROM audit_checkpoint WHERE organisation IN (");
        let mut list = select.separated(", ");
        for organisation in ends.keys() {
            list.push_bind(organisation);
        }
        select.push(")").build_query_as().fetch_all(c).await
    })?;
    for end in stored {
        let hash = Digest::try_from(end.hash.as_slice()).map_err(|_| inconsistent(&end.organisation))?;
        ends.insert(end.organisation, (end.seq, hash));
    }
    Ok(ends)
}

fn inconsistent(organisation: &str) -> StoreError {
    StoreError::Inconsistent {
        table: "audit_checkpoint",
        column: "hash",
        row: organisation.to_owned(),
        reason: "it is not 32 bytes long".to_owned(),
    }
}

/// Gives each entry its place, and moves the ends along.
fn chain(entries: &[StoredEntry], ends: &mut BTreeMap<String, (i64, Digest)>) -> Vec<Linked> {
    let mut linked = Vec::with_capacity(entries.len());
    for entry in entries {
        let (seq, hash) = ends.entry(entry.organisation.clone()).or_insert((0, GENESIS));
        *seq += 1;
        *hash = link(hash, *seq, entry);
        linked.push(Linked { number: entry.number, seq: *seq, hash: *hash });
    }
    linked
}

async fn store_links(tx: &mut Tx, linked: &[Linked]) -> Result<(), StoreError> {
    if linked.is_empty() {
        return Ok(());
    }
    let changed = on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("WITH v (number, seq, hash) AS (");
        update.push_values(linked, |mut row, link| {
            row.push_bind(link.number).push_bind(link.seq).push_bind(link.hash.as_slice());
        });
        update.push(") UPDATE audit_entry SET seq = v.seq, hash = v.hash FROM v WHERE audit_entry.number = v.number AND audit_entry.seq IS NULL");
        update.build().persistent(false).execute(c).await.map(|done| done.rows_affected())
    })?;
    if changed == linked.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::NotOneRow { what: "unlinked audit entry each", changed })
    }
}

async fn store_ends(tx: &mut Tx, ends: &BTreeMap<String, (i64, Digest)>) -> Result<(), StoreError> {
    if ends.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut upsert = QueryBuilder::<D>::new("INSERT INTO audit_checkpoint (organisation, seq, hash, anchored_seq) ");
        upsert.push_values(ends, |mut row, (organisation, (seq, hash))| {
            row.push_bind(organisation).push_bind(*seq).push_bind(hash.as_slice()).push_bind(0_i64);
        });
        upsert.push(" ON CONFLICT (organisation) DO UPDATE SET seq = excluded.seq, hash = excluded.hash");
        upsert.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

async fn store_anchors(tx: &mut Tx, ends: &[End]) -> Result<(), StoreError> {
    on_tx!(tx, c : D => {
        let mut update = QueryBuilder::<D>::new("WITH v (organisation, seq) AS (");
        update.push_values(ends, |mut row, end| {
            row.push_bind(&end.organisation).push_bind(end.seq);
        });
        update.push(
            ") UPDATE audit_checkpoint SET anchored_seq = v.seq FROM v \
             WHERE audit_checkpoint.organisation = v.organisation AND audit_checkpoint.anchored_seq < v.seq");
        update.build().execute(c).await.map(drop)
    })?;
    Ok(())
}
