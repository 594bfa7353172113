//! What a service adds to a saga: its own rows and messages, in the saga's transaction.

use async_trait::async_trait;
use homeward_messaging::Batch;
use homeward_store::Tx;

use crate::arrival::{Applied, Arrival};
use crate::definition::Saga;
use crate::error::SagaError;

/// The effects of a saga's decisions inside a service's own database.
#[async_trait]
pub trait Domain<S: Saga>: Send + Sync + 'static {
    /// Turns what the sagas decided into rows (by `tx`) and messages (pushed to `messages`), for all of them in few statements.
    ///
    /// May answer with inputs that follow at once (a slot was free: the saga has it); they are handled in the same
    /// transaction, and this is called again with what came of them, until nothing follows. Several changes of one saga
    /// come in order. What follows for a saga that another process holds at that moment comes right after the commit, in a
    /// transaction of its own; a crash in between loses it, so the saga must ask again. The sagas' own rows, locked already, are written after this, so nothing may refer to a new one by a
    /// foreign key that is checked at once.
    ///
    /// Never call another service from here. Runs again, with a new `messages`, when the engine makes the transaction run again.
    ///
    /// # Errors
    /// Anything: the transaction is undone, and tried again by halves so that only what caused it fails.
    async fn apply(&self, tx: &mut Tx, applied: &[Applied<S>], messages: &mut Batch) -> Result<Vec<Arrival<S>>, SagaError>;

    /// Told after the commit, in order; for waking loops and watchers. Must not block. A crash may swallow it.
    fn committed(&self, _applied: &[Applied<S>]) {}
}
