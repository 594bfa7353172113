//! One organisation as the workers see it: its settings, its provider, and whether that answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homeward_provider::{ErrorClass, IdentityProvider, ProviderError};
use homeward_store::{StoreError, transaction};
use homeward_types::{Organisation, OrganisationId};
use tokio::sync::Notify;

use crate::keys;
use crate::lease::store as leases;
use crate::ledger::Ledger;
use crate::organisation;

/// So many reads in a row must fail before the provider counts as silent: a single failure is only tried again.
const IN_A_ROW: u32 = 3;

/// All organisations with a provider.
pub type Sites = BTreeMap<OrganisationId, Arc<Site>>;

/// Whether the provider answers, as far as reads tell. While it is silent, only probes are worth a call. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circuit {
    silent: bool,
    /// Reads that failed since the last answer.
    failed: u32,
}

/// What changed with a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// The provider does not answer any more.
    Silent,
    /// It answers again: every return that waits is to be tried now.
    Answers,
}

impl Circuit {
    /// A circuit that begins so.
    pub fn new(silent: bool) -> Self {
        Self { silent, failed: 0 }
    }

    /// Whether the provider does not answer.
    pub fn is_silent(self) -> bool {
        self.silent
    }

    /// Takes note of how a read went. Some failures in a row open the circuit; the first answer closes it.
    pub fn heard(&mut self, error: Option<&ProviderError>) -> Option<Turned> {
        if error.is_some_and(ProviderError::is_for_the_rate) {
            return None;
        }
        if error.is_some_and(means_silence) {
            self.failed = self.failed.saturating_add(1);
            let turned = !self.silent && self.failed >= IN_A_ROW;
            self.silent |= turned;
            return turned.then_some(Turned::Silent);
        }
        self.failed = 0;
        std::mem::take(&mut self.silent).then_some(Turned::Answers)
    }
}

/// One organisation and its provider.
pub struct Site {
    organisation: Organisation,
    provider: Arc<dyn IdentityProvider>,
    ledger: Ledger,
    circuit: Mutex<Circuit>,
    /// When this process was last answered, in microseconds of its clock.
    answered_at: AtomicI64,
    /// The last day on which people were told that a key is refused.
    refusal_told: AtomicI64,
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
        let circuit = Mutex::new(Circuit::new(state.unreachable_since.is_some()));
        Ok(Self {
            organisation,
            provider,
            ledger,
            circuit,
            answered_at: AtomicI64::new(i64::MIN),
            refusal_told: AtomicI64::new(i64::MIN),
            answered: Notify::new(),
        })
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
        self.circuit().is_silent()
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
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
        if error.is_none() {
            self.answered_at.store(self.ledger.now().timestamp_micros(), Ordering::Relaxed);
        }
        if let Some(error) = error {
            self.heard_of_key(error).await;
        }
        let Some(turned) = self.circuit().heard(error) else { return };
        let noted = match turned {
            Turned::Silent => self.note_silence().await,
            Turned::Answers => self.note_answer().await,
        };
        if let Err(error) = noted {
            // The next change of mind writes it; what is read meanwhile is only an announcement.
            tracing::warn!(organisation = %self.id(), error = &error as &dyn std::error::Error, "whether the provider answers cannot be noted");
        }
        match turned {
            Turned::Silent => {
                tracing::warn!(organisation = %self.id(), error = error.map(tracing::field::display), "the provider does not answer: only probes from now on");
            }
            Turned::Answers => {
                tracing::info!(organisation = %self.id(), "the provider answers again");
                self.answered.notify_waiters();
            }
        }
    }

    /// Tells people, once a day, if the provider refused a key. Tries go on: the refusal may end as it began.
    pub async fn heard_of_key(&self, error: &ProviderError) {
        let about_the_key = error.class == ErrorClass::PermanentForOrganisation && error.reason.is_about_the_key();
        let today = self.ledger.now().timestamp().div_euclid(24 * 60 * 60);
        if !about_the_key || self.refusal_told.load(Ordering::Relaxed) == today {
            return;
        }
        match keys::refused(self, error).await {
            Ok(()) => self.refusal_told.store(today, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(organisation = %self.id(), error = &error as &dyn std::error::Error, "that a key is refused cannot be told yet");
            }
        }
    }

    /// Ends a silence that another process noted and did not live to end: this one was answered since. The circuit itself is
    /// each process's own, because each may be cut off from the provider alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agree(&self) -> Result<(), StoreError> {
        if self.is_silent() {
            return Ok(());
        }
        let state = organisation::store::read(self.ledger.db(), self.id()).await?;
        let answered_at = self.answered_at.load(Ordering::Relaxed);
        if state.unreachable_since.is_some_and(|since| since.timestamp_micros() < answered_at) {
            self.note_answer().await?;
        }
        Ok(())
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
        self.ledger.belfry().tick.ring();
        if let Some(bells) = self.ledger.belfry().of(self.id()) {
            bells.read.ring();
            bells.returns.ring();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_failures_in_a_row_open_the_circuit_and_one_answer_closes_it() {
        let retry = ErrorClass::Retry { after: std::time::Duration::ZERO };
        let error = |class| ProviderError::new("POST bulk-fetch", class, None, "no");
        let failed = error(retry);
        let mut circuit = Circuit::default();
        let heard: Vec<_> = (0..4).map(|_| circuit.heard(Some(&failed))).collect();
        assert_eq!(heard, [None, None, Some(Turned::Silent), None]);
        assert_eq!(circuit.heard(Some(&error(retry).for_the_rate())), None, "no room for us is no silence and no answer");
        assert!(circuit.is_silent());
        // One account's trouble is an answer.
        assert_eq!(circuit.heard(Some(&error(ErrorClass::PermanentForAccount))), Some(Turned::Answers));
        assert_eq!((circuit.heard(None), circuit.heard(Some(&failed)), circuit.is_silent()), (None, None, false));
    }
}
