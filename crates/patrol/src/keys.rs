//! Patrol's own key: people are told when it is refused and before it ends. Nobody else would notice: policy has another key.
//!
//! Each matter has one id for ever, so that telling it again, after a restart or by another process, opens no second incident.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use homeward_messaging::{Batch, NewMessage, Outbox};
use homeward_provider::{ErrorClass, Expiry, IdentityProvider, KeyExpiry, Priority, ProviderError};
use homeward_store::{Database, StoreError, transaction};
use homeward_types::{Clock, IncidentId, OrganisationId, Timestamp};
use ring::digest::{SHA256, digest};
use tokio_util::sync::CancellationToken;

use crate::wire;

/// Days before the end at which people are told.
const DAYS: [i64; 3] = [30, 7, 1];

/// How often the ends are looked at.
const LOOK: Duration = Duration::from_hours(1);

/// Something about patrol's key that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// Where.
    pub organisation: OrganisationId,
    /// Stable kind.
    pub kind: &'static str,
    /// In words.
    pub sentence: String,
    /// What tells it from others of its kind.
    pub name: String,
}

impl Matter {
    /// The incident's id: the same for the same matter.
    pub fn incident(&self) -> IncidentId {
        let digest = digest(&SHA256, format!("patrol:{}:{}:{}", self.kind, self.organisation, self.name).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        IncidentId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// Tells of matters about patrol's key.
pub struct KeyWatch {
    db: Database,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    told: Mutex<HashSet<IncidentId>>,
}

impl KeyWatch {
    /// One that has told nothing yet.
    pub fn new(db: Database, outbox: Outbox, clock: Arc<dyn Clock>) -> Self {
        Self { db, outbox, clock, told: Mutex::default() }
    }

    /// Looks at the ends of the organisation's keys until the shutdown.
    pub async fn run(&self, organisation: &OrganisationId, provider: &dyn IdentityProvider, stop: CancellationToken) {
        loop {
            let expiries = tokio::select! {
                () = stop.cancelled() => return,
                expiries = provider.key_expiries(Priority::Sync) => expiries,
            };
            for matter in ending(organisation, &expiries, self.clock.now()) {
                self.tell(&matter).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Tells, once a day for each call, if the provider refused the key.
    pub async fn heard(&self, organisation: &OrganisationId, error: &ProviderError) {
        if error.class != ErrorClass::PermanentForOrganisation || !error.reason.is_about_the_key() {
            return;
        }
        let matter = Matter {
            organisation: organisation.clone(),
            kind: "patrol_key_refused",
            sentence: format!("the provider refuses patrol's key, so nothing is read back: {error}"),
            name: format!("{}:{}", error.call, self.clock.now().format("%Y-%m-%d")),
        };
        self.tell(&matter).await;
    }

    async fn tell(&self, matter: &Matter) {
        let incident = matter.incident();
        let known = |told: &Mutex<HashSet<IncidentId>>| told.lock().unwrap_or_else(PoisonError::into_inner).contains(&incident);
        if known(&self.told) {
            return;
        }
        match self.send(wire::key_incident(matter)).await {
            Ok(()) => {
                tracing::error!(organisation = %matter.organisation, kind = matter.kind, "{}", matter.sentence);
                self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(incident);
            }
            Err(error) => {
                tracing::warn!(organisation = %matter.organisation, error = homeward_chassis::error_chain(&error), "what is to be known of patrol's key cannot be told yet");
            }
        }
    }

    async fn send(&self, message: NewMessage) -> Result<(), StoreError> {
        let batch = transaction!(self.db, "patrol.key", async |tx| -> Result<Batch, StoreError> {
            let mut batch = self.outbox.batch();
            batch.push(message.clone());
            batch.store(tx).await?;
            Ok(batch)
        })?;
        self.outbox.publish(batch);
        Ok(())
    }
}

/// What is to be told of keys' ends by now (pure).
pub fn ending(organisation: &OrganisationId, expiries: &[KeyExpiry], now: Timestamp) -> Vec<Matter> {
    let matter = |expiry: &KeyExpiry| {
        let Expiry::At { at, .. } = expiry.expiry else { return None };
        let days = DAYS.into_iter().rev().find(|days| now >= at - TimeDelta::days(*days))?;
        let day = at.format("%Y-%m-%d %H:%M UTC");
        let (words, nearness) = if at <= now {
            (format!("patrol's key has ended, at {day}"), "over".to_owned())
        } else {
            (format!("patrol's key ends in less than {days} day(s), at {day}"), days.to_string())
        };
        Some(Matter {
            organisation: organisation.clone(),
            kind: "patrol_key_expires",
            sentence: words,
            name: format!("{}:{}:{}:{nearness}", expiry.key.setting(), expiry.fingerprint, at.timestamp()),
        })
    };
    expiries.iter().filter_map(matter).collect()
}

#[cfg(test)]
mod tests {
    use homeward_provider::{KeyName, ToldBy};

    use super::*;

    fn told(now: Timestamp, at: Timestamp) -> Vec<Matter> {
        let expiry = Expiry::At { at, told_by: ToldBy::Configuration };
        let expiry = KeyExpiry { key: KeyName::Main, fingerprint: "f".into(), expiry };
        ending(&"acme".parse().unwrap(), &[expiry], now)
    }

    #[test]
    fn each_step_towards_the_end_is_one_matter() {
        let at = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        let mut ids = Vec::new();
        for hours in (-48..=31 * 24).rev() {
            for matter in told(at - TimeDelta::hours(hours), at) {
                if ids.last() != Some(&matter.incident()) {
                    ids.push(matter.incident());
                }
            }
        }
        assert_eq!(ids.len(), 4, "30, 7 and 1 days before, and the end");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4, "no matter comes twice");
        assert_eq!(told(at - TimeDelta::days(31), at), []);
        let unknown =
            KeyExpiry { key: KeyName::Main, fingerprint: "f".into(), expiry: Expiry::Unknown { why: "nobody said".into() } };
        assert_eq!(ending(&"acme".parse().unwrap(), &[unknown], at), []);
    }
}
