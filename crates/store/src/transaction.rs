//! Named transactions, run again when the engine had to let another one pass.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{Instrument, Span};

use crate::database::Database;
use crate::error::{StoreError, may_run_again};
use crate::tx::Tx;

/// How often a transaction is run before its failure is handed to the caller.
const TRIES: u32 = 10;

/// Two that met in a deadlock should not meet again at once: the first pause, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// How long to wait for the database to hear that a transaction is undone; then its connection is given up.
const UNDO_LIMIT: Duration = Duration::from_secs(5);

/// Runs a block in a transaction with a name (`<table>.<verb>`) and commits if the block gives `Ok`:
///
/// ```no_run
/// # use homeward_store::{Database, StoreError, Tx, on_tx, one_row, transaction};
/// # async fn close(db: &Database, id: uuid::Uuid) -> Result<(), StoreError> {
/// transaction!(db, "lease.close", async |tx| -> Result<(), StoreError> {
///     let changed = on_tx!(tx, c => sqlx::query("UPDATE lease SET state = 'closing' WHERE id = $1 AND state = 'active'")
///         .bind(id).execute(c).await.map(|done| done.rows_affected()))?;
///     one_row(changed, "active lease")
/// })
/// # }
/// ```
///
/// The database is anything that derefs to `Database`; inside, `tx` is a `&mut Tx`, and `?` and `return` leave the block.
/// The error is any `std::error::Error` that has `From<StoreError>` and keeps it as its source (or is transparent to it).
///
/// After a serialisation failure, a deadlock or a busy SQLite the whole block runs again, up to 10 times, so it must not use up
/// what it captured and have no effect outside the transaction (clear a list before filling it). Any other failure
/// is handed back at once, and the transaction is undone. Never call another service from inside: a run that takes longer than
/// [`Options::transaction_limit`](crate::Options::transaction_limit) is given up as if the database were lost.
///
/// It has the look of a method with an async closure and is a macro, because the future of such a method is not `Send`
/// for a caller that captures references (Rust 1.95), which gRPC handlers and spawned tasks need.
#[macro_export]
macro_rules! transaction {
    ($db:expr, $name:expr, async |$tx:ident $(: $tx_type:ty)?| $(-> $result:ty)? $body:block) => {{
        let database: &$crate::Database = &$db;
        let mut run = $crate::transaction::Run::new(database, $name);
        loop {
            let mut open = match run.begin().await {
                ::std::result::Result::Ok(open) => open,
                ::std::result::Result::Err(error) => break ::std::result::Result::Err(::std::convert::From::from(error)),
            };
            let result $(: $result)? = {
                let $tx $(: $tx_type)? = &mut open;
                run.within(::std::boxed::Box::pin(async { $body })).await
            };
            if let ::std::ops::ControlFlow::Break(done) = run.end(open, result).await {
                break done;
            }
        }
    }};
}

/// The runs of one named transaction. Made by [`transaction!`](crate::transaction!).
#[derive(Debug)]
pub struct Run<'a> {
    database: &'a Database,
    name: &'static str,
    tries: u32,
    span: Span,
}

impl<'a> Run<'a> {
    /// Nothing has run yet.
    pub fn new(database: &'a Database, name: &'static str) -> Self {
        let span = tracing::debug_span!(
            "db",
            otel.name = format!("db.{name}"),
            otel.kind = "client",
            db.system.name = database.system(),
            db.tries = 1
        );
        Self { database, name, tries: 1, span }
    }

    /// Begins the next run; waits its turn where the engine has one writer.
    ///
    /// # Errors
    /// [`StoreError::Transaction`] if the database cannot, or stays too busy.
    pub async fn begin(&mut self) -> Result<Tx, StoreError> {
        loop {
            match self.database.begin_named(self.name).instrument(self.span.clone()).await {
                Err(error) if self.gives_way(&error) => self.wait().await,
                begun => return begun,
            }
        }
    }

    /// Runs the block inside the transaction's span, for so long as a run may take.
    pub async fn within<T, E, B>(&self, block: B) -> Result<T, E>
    where
        B: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let limited = tokio::time::timeout(self.database.transaction_limit(), block);
        limited.instrument(self.span.clone()).await.unwrap_or_else(|_| Err(self.took_too_long("running").into()))
    }

    /// Commits or undoes. `Continue` asks for another run.
    pub async fn end<T, E>(&mut self, tx: Tx, result: Result<T, E>) -> ControlFlow<Result<T, E>>
    where
        E: From<StoreError> + Error + 'static,
    {
        let failed = match result {
            Ok(value) => match self.commit(tx).await {
                Ok(()) => return ControlFlow::Break(Ok(value)),
                Err(error) => E::from(error),
            },
            Err(error) => {
                self.undo(tx).await;
                error
            }
        };
        if !self.gives_way(&failed) {
            return ControlFlow::Break(Err(failed));
        }
        drop(failed);
        self.wait().await;
        ControlFlow::Continue(())
    }

    async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        let limited = tokio::time::timeout(self.database.transaction_limit(), tx.commit_named(self.name));
        limited.instrument(self.span.clone()).await.unwrap_or_else(|_| Err(self.took_too_long("commit")))
    }

    /// The block's error is the news. If the undoing cannot be told, the database undoes by itself.
    async fn undo(&self, tx: Tx) {
        let limited = tokio::time::timeout(UNDO_LIMIT, tx.rollback());
        let told = limited.instrument(self.span.clone()).await.unwrap_or_else(|_| Err(self.took_too_long("rollback")));
        if let Err(undoing) = told {
            tracing::debug!(transaction = self.name, error = &undoing as &dyn Error, "rollback could not be told");
        }
    }

    fn took_too_long(&self, doing: &'static str) -> StoreError {
        StoreError::Transaction { name: self.name, doing, source: sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()) }
    }

    /// Whether the failure asks for another run, and there is one left.
    fn gives_way(&self, error: &(dyn Error + 'static)) -> bool {
        let again = self.tries < TRIES && may_run_again(error);
        if again {
            tracing::debug!(transaction = self.name, tries = self.tries, error, "transaction gives way and runs again");
        }
        again
    }

    async fn wait(&mut self) {
        tokio::time::sleep(pause(self.tries)).await;
        self.tries += 1;
        self.span.record("db.tries", self.tries);
    }
}

/// Doubles with each try; half of it differs from one caller to the next.
fn pause(tries: u32) -> Duration {
    static CALLER: AtomicU64 = AtomicU64::new(0);
    let whole = (FIRST_PAUSE * 2u32.saturating_pow(tries - 1)).min(LONGEST_PAUSE);
    // Multiplying by the golden ratio spreads consecutive numbers evenly (Knuth, 6.4).
    let share = CALLER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    whole / 2 + whole.mul_f64(f64::from(u8::try_from(share).unwrap_or(u8::MAX)) / 510.0)
}
