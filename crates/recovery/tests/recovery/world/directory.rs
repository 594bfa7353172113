//! Directory, played: knows `acc1` … `accN`, and sees what the test says.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::DIRECTORY_WATCH;
use homeward_messaging::{HandleError, Handler, Received, Verdict, consume};
use homeward_proto::directory::v1 as wire;
use homeward_proto::directory::v1::directory_service_server::{DirectoryService, DirectoryServiceServer};
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1 as words;
use homeward_types::Clock;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Stage;

pub struct Directory {
    stage: Arc<Stage>,
    accounts: usize,
    /// Accounts that administer something.
    pub administrators: Mutex<BTreeSet<String>>,
    /// Whether users enrol as soon as they are watched.
    pub enrols: AtomicBool,
    /// Whether anything is reported at all.
    pub silent: AtomicBool,
    /// Leases that are watched.
    pub watched: Mutex<BTreeSet<String>>,
    pub unreachable: AtomicBool,
}

impl Directory {
    pub fn new(stage: Arc<Stage>, accounts: usize) -> Self {
        Self {
            stage,
            accounts,
            administrators: Mutex::default(),
            enrols: AtomicBool::new(true),
            silent: AtomicBool::new(false),
            watched: Mutex::default(),
            unreachable: AtomicBool::new(false),
        }
    }

    pub fn rpc(self: &Arc<Self>) -> DirectoryServiceServer<Rpc> {
        DirectoryServiceServer::new(Rpc(self.clone()))
    }

    pub fn spawn(self: Arc<Self>, shutdown: &Shutdown) {
        let (broker, token) = (self.stage.broker.clone(), shutdown.token());
        shutdown.spawn("directory.watch", async move {
            consume(broker, DIRECTORY_WATCH, self, token).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    fn account(&self, id: &str) -> Option<words::Account> {
        let number: usize = id.strip_prefix("acc")?.parse().ok()?;
        (1..=self.accounts).contains(&number).then(|| words::Account {
            account: id.to_owned(),
            email: format!("{id}@example.com"),
            name: format!("Person {number}"),
            claim: "managed".into(),
            status: "active".into(),
            synced_from: String::new(),
            administrator: self.administrators.lock().unwrap().contains(id),
            last_active: Some(timestamp(self.stage.clock.now())),
            mail_changed_at: None,
            learned_at: Some(timestamp(self.stage.clock.now())),
        })
    }

    fn find(&self, query: &str) -> Vec<words::Account> {
        if query == "Everybody" {
            return ["acc1", "acc2"].iter().filter_map(|id| self.account(id)).collect();
        }
        self.account(query.split('@').next().unwrap()).into_iter().collect()
    }

    /// Says that the factor was read as absent.
    pub fn report_absent(&self, lease: &str, account: &str) {
        let payload = wire::FactorAbsent {
            lease: lease.into(),
            organisation: "acme".into(),
            account: account.into(),
            begun_at: Some(timestamp(self.stage.clock.now())),
        };
        self.stage.send("directory.event.factor-absent.v1", lease.parse().unwrap(), &payload);
    }

    /// Says that the user enrolled.
    pub fn report_enrolled(&self, lease: &str, account: &str) {
        let payload = wire::AccountEnrolled {
            lease: lease.into(),
            organisation: "acme".into(),
            account: account.into(),
            seen_at: Some(timestamp(self.stage.clock.now())),
            evidence: "enrolled on two reads".into(),
        };
        self.stage.send("directory.event.account-enrolled.v1", lease.parse().unwrap(), &payload);
    }
}

#[async_trait::async_trait]
impl Handler for Directory {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in &batch {
            match received.envelope.kind.as_str() {
                "directory.command.watch-account.v1" => {
                    let watch: wire::WatchAccount = received.envelope.decode().unwrap();
                    assert!(watch.seen_out_at.is_some() && watch.until.is_some() && !watch.email.is_empty(), "{watch:?}");
                    self.watched.lock().unwrap().insert(watch.lease.clone());
                    if !self.silent.load(Ordering::SeqCst) {
                        self.report_absent(&watch.lease, &watch.account);
                        if self.enrols.load(Ordering::SeqCst) {
                            self.report_enrolled(&watch.lease, &watch.account);
                        }
                    }
                }
                "directory.command.unwatch-account.v1" => {
                    let unwatch: wire::UnwatchAccount = received.envelope.decode().unwrap();
                    self.watched.lock().unwrap().remove(&unwatch.lease);
                }
                other => panic!("not for directory: {other}"),
            }
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

pub struct Rpc(Arc<Directory>);

#[tonic::async_trait]
impl DirectoryService for Rpc {
    async fn find_accounts(
        &self,
        request: Request<wire::FindAccountsRequest>,
    ) -> Result<Response<wire::FindAccountsResponse>, Status> {
        if self.0.unreachable.load(Ordering::SeqCst) {
            return Err(Status::unavailable("played dead"));
        }
        let request = request.into_inner();
        assert!(request.queries.len() <= 100);
        let findings =
            request.queries.into_iter().map(|query| wire::Finding { matches: self.0.find(&query), closest: vec![], query });
        Ok(Response::new(wire::FindAccountsResponse { findings: findings.collect(), unreachable_since: None }))
    }

    async fn list_accounts(&self, _: Request<wire::ListAccountsRequest>) -> Result<Response<wire::ListAccountsResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn get_sync(&self, _: Request<wire::GetSyncRequest>) -> Result<Response<wire::GetSyncResponse>, Status> {
        let accounts = i64::try_from(self.0.accounts).unwrap();
        Ok(Response::new(wire::GetSyncResponse { accounts, ..wire::GetSyncResponse::default() }))
    }
}

/// The id that a text holds.
pub fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}
