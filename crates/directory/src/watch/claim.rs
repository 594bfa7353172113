//! Which process watches an organisation. Two that do at once waste calls and nothing else, so the claim is short.

pub mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homeward_store::{StoreError, transaction};
use homeward_types::Timestamp;
use homeward_types::limits::after;

use crate::tenant::Tenant;

/// How long a process that died keeps others from watching.
const CLAIM: Duration = Duration::from_secs(5);

/// The claim of this process on one organisation.
pub struct Claim {
    tenant: Arc<Tenant>,
    until: Mutex<Option<Timestamp>>,
}

impl Claim {
    /// Not held yet.
    pub fn new(tenant: Arc<Tenant>) -> Self {
        Self { tenant, until: Mutex::default() }
    }

    /// Whether this process may watch now. Takes or renews the claim where needed.
    pub async fn hold(&self) -> Result<bool, StoreError> {
        let (tenant, now) = (&self.tenant, self.tenant.now());
        // Half of it is left: enough for what is done before the next asking.
        if self.lock().is_some_and(|until| after(now, CLAIM / 2) <= until) {
            return Ok(true);
        }
        let until = after(now, CLAIM);
        let held = transaction!(tenant.db, "watcher.claim", async |tx| -> Result<bool, StoreError> {
            store::claim(tx, tenant.id(), tenant.process, until, now).await
        })?;
        *self.lock() = held.then_some(until);
        Ok(held)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Timestamp>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
