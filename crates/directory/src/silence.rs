//! Since when a provider has not answered.
//!
//! The table is what counts, and several processes share it: who notices a silence writes it down, and whoever is answered
//! ends it, whoever began it. So a process that no longer calls the provider (another one watches and sweeps) does not go on
//! saying that it is silent.

mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use homeward_provider::{ErrorClass, ProviderError};
use homeward_store::{Database, StoreError};
use homeward_types::{Clock, OrganisationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::tenant::pause;

/// How often it is looked for what other processes wrote.
const LOOK: Duration = Duration::from_secs(1);

/// Remembers it, over restarts too. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Silence(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Arc<dyn Clock>,
    since: Mutex<BTreeMap<OrganisationId, Timestamp>>,
    /// Held by whoever reads or writes the table, so that memory never follows an older reading.
    table: tokio::sync::Mutex<()>,
}

impl Silence {
    /// What was known when the service stopped.
    pub async fn load(db: Database, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let since = Mutex::new(store::load(&db).await?);
        Ok(Self(Arc::new(Inner { db, clock, since, table: tokio::sync::Mutex::default() })))
    }

    /// Learns what other processes notice, until the shutdown.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            pause(&stop, LOOK).await;
            if let Err(error) = self.refresh().await {
                tracing::debug!(error = homeward_chassis::error_chain(&error), "cannot read how long providers have been silent");
            }
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let _table = self.0.table.lock().await;
        let since = store::load(&self.0.db).await?;
        *self.lock() = since;
        Ok(())
    }

    /// Since when; `None` while it answers.
    pub fn since(&self, organisation: &OrganisationId) -> Option<Timestamp> {
        self.lock().get(organisation).copied()
    }

    /// Takes in how a call went.
    pub async fn heard<T>(&self, organisation: &OrganisationId, answer: &Result<T, ProviderError>) {
        match answer {
            Ok(_) => self.broken(organisation).await,
            Err(error) if is_silence(error) => self.begun(organisation, error).await,
            Err(_) => {}
        }
    }

    async fn broken(&self, organisation: &OrganisationId) {
        if self.since(organisation).is_none() {
            return;
        }
        let _table = self.0.table.lock().await;
        let Some(since) = self.lock().remove(organisation) else { return };
        tracing::info!(%organisation, %since, "the provider answers again");
        write_down(store::end(&self.0.db, organisation).await);
    }

    async fn begun(&self, organisation: &OrganisationId, error: &ProviderError) {
        if self.since(organisation).is_some() {
            return;
        }
        let _table = self.0.table.lock().await;
        tracing::warn!(%organisation, %error, "the provider does not answer");
        let now = self.0.clock.now();
        // Written down before anyone is told, so that a restart tells the same.
        write_down(store::begin(&self.0.db, organisation, now).await);
        self.lock().entry(organisation.clone()).or_insert(now);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OrganisationId, Timestamp>> {
        self.0.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory is what counts; a restart that does not know it learns it anew.
fn write_down(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::warn!(error = homeward_chassis::error_chain(&error), "cannot write down how long the provider has been silent");
    }
}

/// Whether an error means that the provider cannot be asked at all. A used-up rate limit and a request that cannot be served
/// are answers.
fn is_silence(error: &ProviderError) -> bool {
    match error.class {
        ErrorClass::Retry { .. } => !error.is_for_the_rate(),
        ErrorClass::PermanentForOrganisation | ErrorClass::Ambiguous => true,
        ErrorClass::PermanentForAccount | ErrorClass::PermanentForPolicy => false,
    }
}
