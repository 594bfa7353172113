//! Named transactions, run again when the engine had to let another one pass.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::Instrument;

use crate::database::Database;
use crate::error::{StoreError, may_run_again};
use crate::tx::Tx;

/// How often a transaction is run before its failure is handed to the caller.
const TRIES: u32 = 10;

/// Two that met in a deadlock should not meet again at once: the first pause, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause, before the random share.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

impl Database {
    /// Runs `body` in a transaction called `name` (`<table>.<verb>`) and commits if it returns `Ok`.
    ///
    /// After a serialisation failure, a deadlock or a busy SQLite the whole body runs again, up to 10 times: it must
    /// take what it needs by reference and have no effect outside the transaction. Any other failure is handed back at once,
    /// and the transaction is undone. Never call another service from inside.
    ///
    /// # Errors
    /// What `body` returned, or a [`StoreError::Transaction`] with `name` in it.
    pub async fn transaction<T, E, F>(&self, name: &'static str, mut body: F) -> Result<T, E>
    where
        F: AsyncFnMut(&mut Tx) -> Result<T, E>,
        E: From<StoreError> + Error + 'static,
    {
        let span = tracing::debug_span!("db", otel.name = format!("db.{name}"), db.system.name = self.system(), db.tries = 1);
        let run = async {
            let mut tries = 1;
            loop {
                match self.run_once(name, &mut body).await {
                    Err(error) if tries < TRIES && may_run_again(&error) => {
                        tracing::debug!(transaction = name, tries, error = &error as &dyn Error, "transaction gives way and runs again");
                        tokio::time::sleep(pause(tries)).await;
                        tries += 1;
                        tracing::Span::current().record("db.tries", tries);
                    }
                    done => return done,
                }
            }
        };
        run.instrument(span).await
    }

    async fn run_once<T, E, F>(&self, name: &'static str, body: &mut F) -> Result<T, E>
    where
        F: AsyncFnMut(&mut Tx) -> Result<T, E>,
        E: From<StoreError> + Error + 'static,
    {
        let mut tx = self.begin_named(name).await?;
        match body(&mut tx).await {
            Ok(value) => {
                tx.commit_named(name).await?;
                Ok(value)
            }
            Err(error) => {
                // The body's error is the news. If the undoing cannot be told, the database undoes by itself.
                if let Err(undoing) = tx.rollback().await {
                    tracing::debug!(transaction = name, error = &undoing as &dyn Error, "rollback could not be told");
                }
                Err(error)
            }
        }
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
