//! Every effect of every saga of one kind, in batches: load and lock, decide, carry out, write, commit, publish.
//!
//! [`Coordinator::handle`] runs one batch. [`Coordinator::submit`] is what services call: many small callers, the
//! consumer and the timers merge into one transaction, taken as soon as the one before is done, never waited for.
//!
//! Crash safety: the transaction holds the sagas, the domain's rows and the outbox rows. Before its commit nothing
//! happened; after it, what was not published yet is published by the relay, and what was not acknowledged comes again
//! and is noted as a repeat.

mod batch;
mod metrics;
mod queue;
mod row;
mod spans;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::Outbox;
use homeward_store::{Database, Migrations, StoreError, migrations};
use homeward_types::Clock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::arrival::{Arrival, Handled};
use crate::definition::Saga;
use crate::domain::Domain;
use crate::error::{SagaError, SubmitError};
use crate::plan::Progress;
use crate::registry::Registry;
use crate::store;
use crate::timers::{Owner, Timers};
use metrics::Metrics;
use queue::Queue;
use row::Row;

/// The table of sagas, for the database of each service that runs some.
pub const MIGRATIONS: Migrations = migrations!("saga", ["0001_saga"]);

/// Runs the sagas of one kind. Cheap to clone; clones share everything.
pub struct Coordinator<S: Saga, D: Domain<S>>(Arc<Inner<S, D>>);

struct Inner<S: Saga, D: Domain<S>> {
    db: Database,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    registry: Registry<S>,
    domain: D,
    owner: Owner,
    timers: Timers,
    queue: Queue<S>,
    metrics: Metrics,
}

/// A saga as it is stored, for showing.
pub struct Seen<S: Saga> {
    /// The version of its definition.
    pub version: u32,
    /// Where it is, with all that is known.
    pub progress: Progress<S::Data>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// Rises with each transaction that changed it.
    pub row_version: i64,
}

impl<S: Saga, D: Domain<S>> Clone for Coordinator<S, D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Saga, D: Domain<S>> Coordinator<S, D> {
    /// A coordinator over this database, whose messages leave through `outbox` (of the same database). Make it after
    /// telemetry was set up, because it makes instruments.
    pub fn new(db: Database, outbox: Outbox, clock: Arc<dyn Clock>, registry: Registry<S>, domain: D) -> Self {
        let owner = Owner { name: S::NAME, versions: registry.versions().map(i64::from).collect() };
        let (timers, queue, metrics) = (Timers::new(), Queue::new(), Metrics::new(S::NAME));
        Self(Arc::new(Inner { db, outbox, clock, registry, domain, owner, timers, queue, metrics }))
    }

    /// Handles arrivals in order in one transaction, and answers each in the same order.
    ///
    /// A transaction that fails is tried again by halves, down to the arrival that is to blame, which is
    /// [`Handled::Refused`]. Messages are handed to the outbox after the commit; nobody waits for the broker.
    /// Services call [`Coordinator::submit`], which merges callers.
    ///
    /// # Errors
    /// [`SagaError`] only if the database is unwell; then the same arrivals may be handed in again later.
    pub async fn handle(&self, arrivals: Vec<Arrival<S>>) -> Result<Vec<Handled<S>>, SagaError> {
        batch::handle(&self.0, &arrivals, 0).await
    }

    /// Hands arrivals to the task that runs [`Coordinator::run`] and waits for their answers, in order.
    ///
    /// They are handled also if the caller stops waiting.
    ///
    /// # Errors
    /// [`SubmitError`]: submit the same again later. A repeat changes nothing.
    pub async fn submit(&self, arrivals: Vec<Arrival<S>>) -> Result<Vec<Handled<S>>, SubmitError> {
        self.0.queue.submit(arrivals).await
    }

    /// Lets everything happen that is due by now, and says for how many sagas it was.
    ///
    /// The running coordinator does this by itself; tests that own the time call it.
    ///
    /// # Errors
    /// [`SagaError`] if the database is unwell.
    pub async fn tick(&self) -> Result<usize, SagaError> {
        batch::tick(&self.0).await
    }

    /// Makes the running coordinator look for due sagas now, after the clock was set.
    pub fn wake(&self) {
        self.0.timers.wake();
    }

    /// Takes what is submitted and what is due until the shutdown. Run it once for each service.
    ///
    /// # Errors
    /// None at present: a database that is unwell is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SagaError> {
        self.report_unknown().await;
        queue::run(&self.0, shutdown).await;
        Ok(())
    }

    /// Sagas as they are stored now. Ids that have no saga under a definition of ours are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read, or a saga's data cannot be understood.
    pub async fn read(&self, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Seen<S>>, StoreError> {
        let mut seen = BTreeMap::new();
        for stored in store::read(&self.0.db, ids).await? {
            let id = stored.id;
            if let Ok(row) = Row::of(stored, &self.0.registry)? {
                let progress = Arc::unwrap_or_clone(row.progress);
                seen.insert(id, Seen { version: row.version, progress, trace: row.trace, row_version: row.row_version });
            }
        }
        Ok(seen)
    }

    /// The domain, for what a service asks of it outside a transaction.
    pub fn domain(&self) -> &D {
        &self.0.domain
    }

    /// Open sagas that another version of the program began are nobody's as long as it does not run: say so at the start.
    async fn report_unknown(&self) {
        let open = match store::open_by_definition(&self.0.db).await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot tell which definitions open sagas run under");
                return;
            }
        };
        for (name, version, sagas) in open {
            if name == S::NAME && !self.0.owner.versions.contains(&version) {
                tracing::error!(
                    saga.name = name,
                    saga.version = version,
                    sagas,
                    "open sagas run under a definition that this program does not have; they are left alone: run the version that began them until they are closed"
                );
            }
        }
    }
}
