//! One organisation with everything that its loops and calls need.

use std::sync::Arc;
use std::time::Duration;

use homeward_messaging::Outbox;
use homeward_provider::IdentityProvider;
use homeward_store::Database;
use homeward_types::{Clock, Limits, Organisation, OrganisationId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::silence::Silence;

/// An organisation that this service serves.
pub struct Tenant {
    /// Its settings.
    pub organisation: Organisation,
    /// Its identity provider, with directory's key.
    pub provider: Arc<dyn IdentityProvider>,
    /// The service's tables.
    pub db: Database,
    /// The service's messages.
    pub outbox: Outbox,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Since when a provider has not answered.
    pub silence: Silence,
    /// This process, in claims.
    pub process: Uuid,
    /// Wakes the loop that watches.
    pub watch: Notify,
}

impl Tenant {
    /// The organisation's name.
    pub fn id(&self) -> &OrganisationId {
        &self.organisation.id
    }

    /// Its times and caps.
    pub fn limits(&self) -> &Limits {
        &self.organisation.limits
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Until a moment, nothing if it is past.
    pub fn until(&self, moment: Timestamp) -> Duration {
        (moment - self.now()).to_std().unwrap_or_default()
    }
}

/// Waits, unless the shutdown comes first.
pub async fn pause(stop: &CancellationToken, wait: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
