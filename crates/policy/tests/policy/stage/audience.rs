//! The services that listen to policy: they hear, and acknowledge.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use homeward_messaging::topology::{PATROL_LEASES, RECOVERY_EVENTS};
use homeward_messaging::{Broker, HandleError, Handler, Received, Verdict, consume};
use homeward_proto::policy::v1;
use homeward_types::LeaseId;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// Everything that recovery heard, in order.
#[derive(Clone, Default)]
pub struct Audience {
    heard: Arc<Mutex<Heard>>,
    gone: CancellationToken,
}

#[derive(Default)]
pub struct Heard {
    pub leases: Vec<(v1::LeaseNews, v1::Lease)>,
    pub incidents: Vec<v1::IncidentOpened>,
    pub resets: Vec<v1::FactorReset>,
    pub cleaned: Vec<v1::WindowCleaned>,
    pub contained: Vec<v1::AccountContained>,
}

impl Audience {
    /// Recovery and patrol, listening.
    pub fn seated(broker: Arc<dyn Broker>) -> Self {
        let audience = Self::default();
        tokio::spawn(consume(broker.clone(), RECOVERY_EVENTS, Arc::new(audience.clone()), audience.gone.clone()));
        tokio::spawn(consume(broker, PATROL_LEASES, Arc::new(Deaf), audience.gone.clone()));
        audience
    }

    pub fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap())
    }

    /// All news of a lease so far.
    pub fn all(&self, lease: LeaseId) -> Vec<(v1::LeaseNews, v1::Lease)> {
        let id = lease.to_string();
        self.heard(|heard| heard.leases.iter().filter(|(_, lease)| lease.lease == id).cloned().collect())
    }

    /// Waits for the first such news of a lease.
    pub async fn news(&self, lease: LeaseId, news: v1::LeaseNews) -> v1::Lease {
        let what = format!("{} of lease {lease}", news.as_str_name());
        self.wait(&what, |heard| {
            let id = lease.to_string();
            heard.leases.iter().find(|(told, lease)| *told == news && lease.lease == id).map(|(_, lease)| lease.clone())
        })
        .await
    }

    /// Waits for the first incident of a kind.
    pub async fn incident(&self, kind: &str) -> v1::IncidentOpened {
        self.wait(kind, |heard| heard.incidents.iter().find(|incident| incident.kind == kind).cloned()).await
    }

    pub async fn wait<T>(&self, what: &str, look: impl Fn(&Heard) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.heard(&look) {
                return found;
            }
            if tokio::time::Instant::now() > deadline {
                let told: Vec<_> = self.heard(|heard| {
                    heard.leases.iter().map(|(news, lease)| (*news, lease.lease.clone(), lease.evidence.clone())).collect()
                });
                panic!("waited in vain for {what}; heard {told:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait::async_trait]
impl Handler for Audience {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let mut heard = self.heard.lock().unwrap();
        for received in &batch {
            let payload = received.envelope.payload.clone();
            match received.envelope.kind.as_str() {
                "policy.event.incident-opened.v1" => heard.incidents.push(v1::IncidentOpened::decode(payload).unwrap()),
                "policy.event.factor-reset.v1" => heard.resets.push(v1::FactorReset::decode(payload).unwrap()),
                "policy.event.window-cleaned.v1" => heard.cleaned.push(v1::WindowCleaned::decode(payload).unwrap()),
                "policy.event.account-contained.v1" => heard.contained.push(v1::AccountContained::decode(payload).unwrap()),
                _ => {
                    let changed = v1::LeaseChanged::decode(payload).unwrap();
                    heard.leases.push((changed.news(), changed.lease.unwrap()));
                }
            }
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

struct Deaf;

#[async_trait::async_trait]
impl Handler for Deaf {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}
