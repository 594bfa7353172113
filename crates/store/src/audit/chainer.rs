//! Links the entries that others wrote, and anchors the chain outside the database.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use homeward_types::{Clock, Timestamp};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::link::{Digest, GENESIS, StoredEntry, link};
use super::signer::Signer;
use super::store::{self, End, Ends, Linked};
use crate::database::Database;
use crate::error::StoreError;
use crate::transaction;
use crate::tx::Tx;

/// Entries linked in one transaction: a few milliseconds, so that others who write are not kept waiting.
const BATCH: i64 = 500;

/// How long an entry waits at most before it is looked at. Linked *and* anchored within a second, as the procedure asks.
const EVERY: Duration = Duration::from_millis(500);

/// Links a service's audit log. Any number may run on one database: they take turns. Each has a file of its own and keeps it
/// complete, whoever linked: so each file alone is enough to verify the log, with the key of the process that wrote it.
pub struct Chainer {
    database: Database,
    clock: Arc<dyn Clock>,
    service: String,
    signer: Signer,
    file: CheckpointFile,
    /// How far this file goes, by organisation; `None` before it was looked at.
    written: Mutex<Option<BTreeMap<String, i64>>>,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    /// Entries linked.
    pub linked: u64,
    /// Checkpoints added to the file, at most one for each organisation.
    pub checkpoints: u64,
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
        Self { database, clock, service: service.into(), signer, file, written: Mutex::default() }
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
        // Asked outside a transaction, so that an idle log costs its database no writer.
        if !store::has_unlinked(&self.database).await? {
            return Ok(0);
        }
        transaction!(self.database, "audit_entry.link", async |tx| -> Result<u64, StoreError> {
            store::take_turn(tx).await?;
            let entries = store::unlinked(tx, BATCH).await?;
            let mut ends = ends_before(tx, &entries).await?;
            let linked = chain(&entries, &mut ends);
            store::add_links(tx, &linked).await?;
            store::move_ends(tx, &ends).await?;
            Ok(linked.len() as u64)
        })
    }

    /// First the file, then the note that some file holds them: a crash between the two repeats a line, which does no harm.
    async fn anchor(&self) -> Result<u64, StoreError> {
        let mut written = self.written.lock().await;
        let anchored = store::anchored(&self.database).await?;
        let mut known = match written.take() {
            Some(known) => known,
            None if anchored.is_empty() => BTreeMap::new(),
            None => self.in_file(|file, service| file.newest(&service)).await?,
        };
        // Another place than the newest one here, not only a later: a log that was restored from a backup goes on from an earlier.
        let ends: Vec<&End> =
            anchored.iter().map(|chain| &chain.end).filter(|end| known.get(&end.organisation) != Some(&end.seq)).collect();
        if !ends.is_empty() {
            let lines = self.sign(&ends, self.clock.now());
            self.in_file(move |file, _| file.append(&lines)).await?;
            known.extend(ends.iter().map(|end| (end.organisation.clone(), end.seq)));
        }
        *written = Some(known);
        let news: Vec<&End> =
            anchored.iter().filter(|chain| chain.anchored_seq < chain.end.seq).map(|chain| &chain.end).collect();
        if !news.is_empty() {
            transaction!(self.database, "audit_checkpoint.anchor", async |tx| -> Result<(), StoreError> {
                store::note_anchors(tx, &news).await
            })?;
        }
        Ok(ends.len() as u64)
    }

    /// Works on the file where it may block.
    async fn in_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(CheckpointFile, String) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (file, service) = (self.file.clone(), self.service.clone());
        let done = tokio::task::spawn_blocking(move || work(file, service)).await;
        done.map_err(|source| super::signer::file(self.file.path(), "adding a checkpoint", std::io::Error::other(source)))?
    }

    fn sign(&self, ends: &[&End], at: Timestamp) -> Vec<Checkpoint> {
        ends.iter().map(|end| Checkpoint::sign(&self.signer, &self.service, &end.organisation, end.seq, &end.hash, at)).collect()
    }
}

/// Where the chains of these entries ended until now.
async fn ends_before(tx: &mut Tx, entries: &[StoredEntry]) -> Result<Ends, StoreError> {
    let mut ends: Ends = entries.iter().map(|entry| (entry.organisation.clone(), (0, GENESIS))).collect();
    for end in store::ends(tx, ends.keys()).await? {
        let hash = Digest::try_from(end.hash.as_slice()).map_err(|_| StoreError::Inconsistent {
            table: "audit_checkpoint",
            column: "hash",
            row: end.organisation.clone(),
            reason: "it is not 32 bytes long".to_owned(),
        })?;
        ends.insert(end.organisation, (end.seq, hash));
    }
    Ok(ends)
}

/// Gives each entry its place, and moves the ends along.
fn chain(entries: &[StoredEntry], ends: &mut Ends) -> Vec<Linked> {
    let mut linked = Vec::with_capacity(entries.len());
    for entry in entries {
        let (seq, hash) = ends.entry(entry.organisation.clone()).or_insert((0, GENESIS));
        *seq += 1;
        *hash = link(hash, *seq, entry);
        linked.push(Linked { number: entry.number, seq: *seq, hash: *hash });
    }
    linked
}
