//! Timers are rows: a saga that is due is found by its `due_at`, by whichever coordinator looks first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use homeward_store::{Database, PushRows, StoreError, Tx, dialect, on, on_tx};
use homeward_types::Timestamp;
use homeward_types::limits::after;
use sqlx::QueryBuilder;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// How often the table is looked at without a reason: for timers of a coordinator that died, and clocks that were set.
const POLL: Duration = Duration::from_secs(1);

/// How long to wait when every due row is in another coordinator's hands.
const HELD: Duration = Duration::from_millis(20);

/// Rows in one statement.
const ROWS: usize = 500;

/// When the next saga is due, as far as this process knows, and the wish to hear of an earlier one.
#[derive(Debug)]
pub(crate) struct Timers {
    known: Mutex<Known>,
    earlier: Notify,
}

#[derive(Debug)]
struct Known {
    nearest: Option<Timestamp>,
    looked_at: Instant,
}

/// Whose timers they are: the sagas of this name, under definitions that the program has.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) name: &'static str,
    pub(crate) versions: Vec<i64>,
}

impl Timers {
    /// Nothing is known yet: the first look is due at once.
    pub(crate) fn new() -> Self {
        let known = Known { nearest: Some(Timestamp::UNIX_EPOCH), looked_at: Instant::now() };
        Self { known: Mutex::new(known), earlier: Notify::new() }
    }

    /// A saga was stored that is due then.
    pub(crate) fn stored(&self, due_at: Timestamp) {
        let mut known = self.known();
        if known.nearest.is_none_or(|nearest| due_at < nearest) {
            known.nearest = Some(due_at);
            drop(known);
            self.earlier.notify_one();
        }
    }

    /// Makes the table be looked at now.
    pub(crate) fn wake(&self) {
        self.stored(Timestamp::UNIX_EPOCH);
    }

    /// Due rows were claimed: look again at once for what is next, or a little later if others hold them all.
    pub(crate) fn claimed(&self, rows: usize, now: Timestamp) {
        self.stored(if rows == 0 { after(now, HELD) } else { now });
    }

    /// Whether it is time to look at the table.
    pub(crate) fn is_time(&self, now: Timestamp) -> bool {
        let known = self.known();
        known.nearest.is_some_and(|at| at <= now) || known.looked_at + POLL <= Instant::now()
    }

    /// Waits until it is time to look at the table. Safe to drop and call again.
    pub(crate) async fn elapsed(&self, now: impl Fn() -> Timestamp) {
        loop {
            let (nearest, poll_at) = {
                let known = self.known();
                (known.nearest, known.looked_at + POLL)
            };
            let left = nearest.map_or(POLL, |at| (at - now()).to_std().unwrap_or(Duration::ZERO));
            let wake_at = poll_at.min(Instant::now() + left.min(POLL));
            if left.is_zero() || wake_at <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(wake_at) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Looks at the table: whether a saga is due, and when the next one is.
    pub(crate) async fn is_due(&self, db: &Database, owner: &Owner, now: Timestamp) -> Result<bool, StoreError> {
        {
            let mut known = self.known();
            known.nearest = None;
            known.looked_at = Instant::now();
        }
        let nearest = nearest(db, owner).await?;
        // What was stored while the table was read is known as well.
        if let Some(later) = nearest.filter(|at| *at > now) {
            self.stored(later);
        }
        Ok(nearest.is_some_and(|at| at <= now))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the next saga is due.
async fn nearest(db: &Database, owner: &Owner) -> Result<Option<Timestamp>, StoreError> {
    Ok(on!(db, pool : D => {
        let mut query = QueryBuilder::<D>::new("SELECT due_at FROM saga WHERE due_at IS NOT NULL AND name = ");
        query.push_bind(owner.name).push(" AND version ");
        query.push_one_of(owner.versions.iter().copied()).push(" ORDER BY due_at LIMIT 1").build_query_scalar().fetch_optional(pool).await
    })?)
}

/// Takes up to `most` due sagas for the rest of the transaction, the longest due first; those in other hands are left out.
pub(crate) async fn claim(tx: &mut Tx, owner: &Owner, now: Timestamp, most: usize) -> Result<Vec<Uuid>, StoreError> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let lock = dialect!(tx, pg: " FOR UPDATE SKIP LOCKED", lite: "");
    Ok(on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("SELECT id FROM saga WHERE due_at <= ");
        query.push_bind(now).push(" AND name = ").push_bind(owner.name).push(" AND version ");
        query.push_one_of(owner.versions.iter().copied()).push(" ORDER BY due_at LIMIT ").push_bind(limit).push(lock);
        query.build_query_scalar().fetch_all(c).await
    })?)
}

/// Moves timers that could not be handled, so that they do not come up again at once.
pub(crate) async fn postpone(tx: &mut Tx, ids: &[Uuid], until: Timestamp) -> Result<(), StoreError> {
    for chunk in ids.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("UPDATE saga SET due_at = ");
            query.push_bind(until).push(" WHERE due_at IS NOT NULL AND id ");
            query.push_one_of(chunk.iter().copied()).build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}
