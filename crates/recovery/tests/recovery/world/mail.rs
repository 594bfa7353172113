//! Notification, played: takes every notice, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::NOTIFICATION_NOTICES;
use homeward_messaging::{HandleError, Handler, Received, Verdict, consume};
use homeward_proto::notification::v1 as wire;

use super::Stage;
use super::directory::uuid;

pub struct Mail {
    stage: Arc<Stage>,
    notices: Mutex<BTreeMap<String, wire::SendNotice>>,
    /// Kinds that cannot be delivered.
    pub fails: Mutex<BTreeSet<i32>>,
}

impl Mail {
    pub fn new(stage: Arc<Stage>) -> Self {
        Self { stage, notices: Mutex::default(), fails: Mutex::default() }
    }

    pub fn spawn(self: Arc<Self>, shutdown: &Shutdown) {
        let (broker, token) = (self.stage.broker.clone(), shutdown.token());
        shutdown.spawn("notification.notices", async move {
            consume(broker, NOTIFICATION_NOTICES, self, token).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// `kind.recipient` of every notice of a recovery.
    pub fn told(&self, recovery: &str) -> BTreeSet<String> {
        let notices = self.notices.lock().unwrap();
        notices.keys().filter_map(|key| key.strip_prefix(recovery)?.strip_prefix('.')).map(str::to_owned).collect()
    }

    /// One notice of a recovery.
    pub fn notice(&self, recovery: &str, about: &str) -> wire::SendNotice {
        let notices = self.notices.lock().unwrap();
        notices.get(&format!("{recovery}.{about}")).unwrap_or_else(|| panic!("{about} in {:?}", notices.keys())).clone()
    }

    /// The token in the link "this was not me".
    pub fn not_me_token(&self, recovery: &str) -> String {
        let url = self.notice(recovery, "requested.owner").fields["not_me_url"].clone();
        url.strip_prefix(&format!("{}/not-me/", super::PUBLIC_URL)).unwrap().to_owned()
    }
}

#[async_trait::async_trait]
impl Handler for Mail {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in &batch {
            let notice: wire::SendNotice = received.envelope.decode().unwrap();
            let (recovery, delivery_key, kind) = (notice.recovery.clone(), notice.delivery_key.clone(), notice.kind);
            if self.fails.lock().unwrap().contains(&kind) {
                let failed =
                    wire::NoticeFailed { delivery_key, recovery: recovery.clone(), kind, problem: "no such mailbox".into() };
                self.stage.send("notification.event.notice-failed.v1", uuid(&recovery), &failed);
                continue;
            }
            self.notices.lock().unwrap().entry(delivery_key.clone()).or_insert(notice);
            let accepted = wire::NoticeAccepted { delivery_key, recovery: recovery.clone(), kind };
            self.stage.send("notification.event.notice-accepted.v1", uuid(&recovery), &accepted);
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}
