//! The services that listen to policy: they hear, and acknowledge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use homeward_messaging::topology::{PATROL_LEASES, RECOVERY_EVENTS};
use homeward_messaging::{Broker, HandleError, Handler, Received, Verdict, consume};
use homeward_proto::policy::v1;
use homeward_types::LeaseId;
use prost::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// Everything that recovery heard, in order.
#[derive(Clone, Default)]
pub struct Audience {
    heard: Arc<Mutex<Heard>>,
    news: Arc<Notify>,
    gone: CancellationToken,
}

#[derive(Default)]
pub struct Heard {
    pub leases: Vec<(v1::LeaseNews, v1::Lease)>,
    by_lease: HashMap<String, Vec<usize>>,
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
        self.heard(|heard| heard.of(lease).cloned().collect())
    }

    /// Waits for the first such news of a lease.
    pub async fn news(&self, lease: LeaseId, news: v1::LeaseNews) -> v1::Lease {
        let what = format!("{} of lease {lease}", news.as_str_name());
        self.wait(&what, |heard| heard.of(lease).find(|(told, _)| *told == news).map(|(_, lease)| lease.clone())).await
    }

    /// Waits for the first incident of a kind.
    pub async fn incident(&self, kind: &str) -> v1::IncidentOpened {
        self.wait(kind, |heard| heard.incidents.iter().find(|incident| incident.kind == kind).cloned()).await
    }

    pub async fn wait<T>(&self, what: &str, look: impl Fn(&Heard) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let told = self.news.notified();
            if let Some(found) = self.heard(&look) {
                return found;
            }
            if tokio::time::timeout_at(deadline, told).await.is_err() {
                let told: Vec<_> = self.heard(|heard| {
                    heard.leases.iter().map(|(news, lease)| (*news, lease.lease.clone(), lease.evidence.clone())).collect()
                });
                panic!("waited in vain for {what}; heard {told:?}");
            }
        }
    }
}

impl Heard {
    fn of(&self, lease: LeaseId) -> impl Iterator<Item = &(v1::LeaseNews, v1::Lease)> {
        let places = self.by_lease.get(&lease.to_string());
        places.into_iter().flatten().map(|place| &self.leases[*place])
    }

    fn hear(&mut self, changed: v1::LeaseChanged) {
        let (news, lease) = (changed.news(), changed.lease.unwrap());
        self.by_lease.entry(lease.lease.clone()).or_default().push(self.leases.len());
        self.leases.push((news, lease));
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
                _ => heard.hear(v1::LeaseChanged::decode(payload).unwrap()),
            }
        }
        drop(heard);
        self.news.notify_waiters();
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
