//! Keeps patrol's own copy of the leases from what policy tells.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use homeward_messaging::{HandleError, Handler, Received, Verdict, inbox};
use homeward_proto::policy::v1::LeaseChanged;
use homeward_store::{Database, StoreError, transaction};
use homeward_types::{Clock, LeaseId};

use crate::copy::{LeaseCopy, store};
use crate::wire;

/// Handles `patrol.leases`.
pub struct News {
    /// Patrol's database.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Handler for News {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let mut newest: HashMap<LeaseId, LeaseCopy> = HashMap::new();
        let mut verdicts = Vec::with_capacity(batch.len());
        for received in &batch {
            // Policy also tells of resets, cleanings and incidents, which say nothing about where an account is.
            if !received.envelope.kind.starts_with("policy.event.lease-") {
                verdicts.push(Verdict::Done);
                continue;
            }
            let decoded = received.envelope.decode::<LeaseChanged>().map_err(|error| error.to_string());
            match decoded.and_then(|event| wire::lease(received, &event).map_err(|error| error.to_string())) {
                Ok(lease) => {
                    let known = newest.entry(lease.id).or_insert_with(|| lease.clone());
                    if known.version < lease.version {
                        *known = lease;
                    }
                    verdicts.push(Verdict::Done);
                }
                Err(problem) => verdicts.push(Verdict::DeadLetter(problem)),
            }
        }
        let mut news: Vec<LeaseCopy> = newest.into_values().collect();
        news.sort_by_key(|lease| lease.id);
        let now = self.clock.now();
        transaction!(self.db, "lease_copy.take_up", async |tx| -> Result<(), StoreError> {
            inbox::hear(tx, &batch).await?;
            store::take_up(tx, &news, now).await
        })?;
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        self.db.ping().await.is_ok()
    }
}
