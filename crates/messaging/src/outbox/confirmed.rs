//! Rows that the broker confirmed and that still lie in the table: deleted by the next transaction that comes by, or by the sweeper.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use homeward_types::MessageId;

/// A row to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirmed {
    pub(super) number: i64,
    pub(super) id: MessageId,
}

/// The rows to delete, of this process.
#[derive(Debug, Default)]
pub(super) struct ConfirmedRows(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    /// Nobody is deleting them yet.
    waiting: Vec<Confirmed>,
    /// Confirmed, and not known to be deleted: those waiting, and those in somebody's open transaction.
    known: HashSet<MessageId>,
}

impl ConfirmedRows {
    /// Remembers rows that the broker just confirmed.
    pub(super) fn add(&self, rows: &[Confirmed]) {
        let mut held = self.held();
        held.known.extend(rows.iter().map(|row| row.id));
        held.waiting.extend_from_slice(rows);
    }

    /// Takes some for deletion. Follow with [`Self::deleted`] after the commit, else with [`Self::give_back`].
    pub(super) fn take(&self, most: usize) -> Vec<Confirmed> {
        let mut held = self.held();
        let count = held.waiting.len().min(most);
        held.waiting.drain(..count).collect()
    }

    /// Forgets rows whose deletion is committed.
    pub(super) fn deleted(&self, rows: &[Confirmed]) {
        let mut held = self.held();
        for row in rows {
            held.known.remove(&row.id);
        }
    }

    /// Takes rows back whose deletion was undone.
    pub(super) fn give_back(&self, rows: Vec<Confirmed>) {
        if !rows.is_empty() {
            self.held().waiting.extend(rows);
        }
    }

    /// Which of these are confirmed and perhaps still in the table.
    pub(super) fn among(&self, ids: &[MessageId]) -> HashSet<MessageId> {
        let held = self.held();
        ids.iter().filter(|id| held.known.contains(id)).copied().collect()
    }

    /// Every step leaves the lists whole, so a panic elsewhere while they were held does no harm.
    fn held(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
