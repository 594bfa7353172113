//! One organisation as the workers see it: its settings, its provider, and whether that answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use homeward_provider::{ErrorClass, IdentityProvider, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::{Organisation, OrganisationId};
use tokio::sync::Notify;

use crate::lease::store as leases;
use crate::ledger::Ledger;
use crate::organisation;

/// So many reads in a row must fail before the provider counts as silent: a single failure is only tried again.
const IN_A_ROW: u32 = 3;

/// All organisations with a provider.
pub type Sites = BTreeMap<OrganisationId, Arc<Site>>;

/// One organisation and its provider.
pub struct Site {
    organisation: Organisation,
    provider: Arc<dyn IdentityProvider>,
    ledger: Ledger,
    /// The circuit: while it is set, only probes are sent.
    silent: AtomicBool,
    /// Reads that failed since the last answer.
    failed: AtomicU32,
    answered: Notify,
}

impl Site {
    /// The organisation and its provider, as far as the database knows of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(
        organisation: Organisation,
        provider: Arc<dyn IdentityProvider>,
        ledger: Ledger,
    ) -> Result<Self, StoreError> {
        let state = organisation::store::read(ledger.db(), &organisation.id).await?;
        let silent = AtomicBool::new(state.unreachable_since.is_some());
        Ok(Self { organisation, provider, ledger, silent, failed: AtomicU32::new(0), answered: Notify::new() })
    }

    /// Its settings.
    pub fn organisation(&self) -> &Organisation {
        &self.organisation
    }

    /// Its name.
    pub fn id(&self) -> &OrganisationId {
        &self.organisation.id
    }

    /// Its provider.
    pub fn provider(&self) -> &dyn IdentityProvider {
        &*self.provider
    }

    /// The leases.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether the provider does not answer: only probes are worth a call.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Waits until the provider answers again.
    pub async fn answers(&self) {
        loop {
            let answered = self.answered.notified();
            if !self.is_silent() {
                return;
            }
            answered.await;
        }
    }

    /// Takes note of how a read went. Some failures in a row open the circuit; the first answer closes it and wakes every
    /// waiting return at once.
    pub async fn heard(&self, error: Option<&ProviderError>) {
        if error.is_some_and(ProviderError::is_for_the_rate) {
            return;
        }
        let silent = if error.is_some_and(means_silence) {
            self.failed.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW || self.is_silent()
        } else {
            self.failed.store(0, Ordering::Relaxed);
            false
        };
        if self.silent.swap(silent, Ordering::Relaxed) == silent {
            return;
        }
        let noted = if silent { self.note_silence().await } else { self.note_answer().await };
        if let Err(error) = noted {
            // The next change of mind writes it; what is read meanwhile is only an announcement.
            tracing::warn!(organisation = %self.id(), error = &error as &dyn std::error::Error, "whether the provider answers cannot be noted");
        }
        if silent {
            tracing::warn!(organisation = %self.id(), error = error.map(tracing::field::display), "the provider does not answer: only probes from now on");
        } else {
            tracing::info!(organisation = %self.id(), "the provider answers again");
            self.answered.notify_waiters();
        }
    }

    async fn note_silence(&self) -> Result<(), StoreError> {
        let since = self.ledger.now();
        transaction!(self.ledger.db(), "organisation.silent", async |tx| -> Result<(), StoreError> {
            organisation::store::reachable(tx, self.id(), Some(since)).await.map(drop)
        })
    }

    async fn note_answer(&self) -> Result<(), StoreError> {
        let now = self.ledger.now();
        let woken = transaction!(self.ledger.db(), "organisation.answers", async |tx| -> Result<u64, StoreError> {
            // Another process may have woken them already: once more does no harm.
            let woken = leases::wake(tx, self.id(), now).await?;
            organisation::store::reachable(tx, self.id(), None).await?;
            Ok(woken)
        })?;
        tracing::info!(organisation = %self.id(), woken, "waiting returns and reads are due now");
        self.ledger.belfry().tick.notify_one();
        if let Some(bells) = self.ledger.belfry().of(self.id()) {
            bells.read.notify_one();
            bells.returns.notify_one();
        }
        Ok(())
    }
}

/// Whether an error says that nothing of this kind will work for now.
fn means_silence(error: &ProviderError) -> bool {
    match error.class {
        ErrorClass::Retry { .. } | ErrorClass::Ambiguous | ErrorClass::PermanentForOrganisation => true,
        ErrorClass::PermanentForAccount | ErrorClass::PermanentForPolicy => false,
    }
}
