//! Patrol with its neighbours: a policy that tells and listens, and someone who hears of incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use homeward_chassis::auth::{Bearer, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Server, sized};
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::testing::Vhost;
use homeward_messaging::topology::{QUEUES, RECOVERY_EVENTS};
use homeward_messaging::{Batch, Broker, HandleError, Handler, MemoryBroker, NewMessage, Outbox, Received, Verdict, consume};
use homeward_patrol::{Parts, Patrol};
use homeward_proto::patrol::v1::patrol_service_client::PatrolServiceClient;
use homeward_proto::patrol::v1::{GetReportRequest, GetReportResponse};
use homeward_proto::policy::v1::policy_service_server::{PolicyService, PolicyServiceServer};
use homeward_proto::policy::v1::*;
use homeward_proto::wire::timestamp;
use homeward_provider::IdentityProvider;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_simulator::well_known::{self, policy};
use homeward_simulator::{Running, Simulator, SimulatorConfig};
use homeward_store::testing::{TestDatabase, migrated, sqlite};
use homeward_store::{StoreError, transaction};
use homeward_types::{Clock, Limits, Organisation, Policy, PolicyId, SystemClock, Tiers, TwoStep};
use secrecy::SecretString;
use tonic::{Request, Response, Status};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub simulator: Running,
    teller: Outbox,
    neighbours: TestDatabase,
    patrol: PatrolServiceClient<Client>,
    asked: Arc<Mutex<Vec<String>>>,
    heard: Arc<Mutex<Vec<IncidentOpened>>>,
    shutdown: Shutdown,
    _database: TestDatabase,
    _vhost: Option<Vhost>,
}

/// One world for each engine.
pub async fn worlds(limits: Limits) -> Vec<World> {
    worlds_of(1, limits).await
}

/// As [`worlds`], of so many processes; several on PostgreSQL have RabbitMQ between them.
pub async fn worlds_of(processes: usize, limits: Limits) -> Vec<World> {
    let mut all = Vec::new();
    for database in migrated(&Patrol::migrations()).await {
        let vhost = (processes > 1 && database.is_postgres()).then(Vhost::make);
        all.push(World::start(database, limits.clone(), vhost, processes).await);
    }
    all
}

/// What policy tells of lease number `n`, due in so many seconds.
pub fn lease(n: u128, account: &str, version: i64, state: LeaseState, due_in: i64) -> LeaseChanged {
    let now = SystemClock.now();
    let closed = state == LeaseState::Closed;
    LeaseChanged {
        news: LeaseNews::Lent.into(),
        lease: Some(Lease {
            lease: Uuid::from_u128(n).to_string(),
            organisation: "northwind".into(),
            account: account.into(),
            version,
            state: state.into(),
            end: if closed { homeward_proto::words::v1::LeaseEnd::Home.into() } else { 0 },
            opened_at: Some(timestamp(now - TimeDelta::hours(1))),
            due_at: Some(timestamp(now + TimeDelta::seconds(due_in))),
            seen_out_at: Some(timestamp(now - TimeDelta::hours(1))),
            closed_at: closed.then(|| timestamp(now)),
            ..Lease::default()
        }),
    }
}

fn organisation(limits: Limits) -> Organisation {
    let id = |text: &str| text.parse::<PolicyId>().unwrap();
    let named = |name: &str, two_step| Policy { name: name.into(), two_step, factor_lives_in: None };
    Organisation {
        id: "northwind".parse().unwrap(),
        policies: BTreeMap::from([
            (id(policy::EVERYONE), named("Everyone", TwoStep::Mandatory)),
            (id(policy::RECOVERY), named("Recovery", TwoStep::Optional)),
        ]),
        recovery_policy: id(policy::RECOVERY),
        home_policies: BTreeSet::from([id(policy::EVERYONE)]),
        default_home: id(policy::EVERYONE),
        tiers: Tiers::default(),
        limits,
    }
}

impl World {
    async fn start(database: TestDatabase, limits: Limits, vhost: Option<Vhost>, processes: usize) -> Self {
        let limits = Limits { patrol: Duration::from_millis(100), late_limit: Duration::from_secs(20), ..limits };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let neighbours = sqlite().await;
        neighbours.migrate(&[homeward_messaging::MIGRATIONS]).await.unwrap();
        let broker: Arc<dyn Broker> = match &vhost {
            Some(vhost) => vhost.broker(QUEUES),
            None => Arc::new(MemoryBroker::open(QUEUES, neighbours.clone(), clock.clone()).await.unwrap()),
        };
        let shutdown = Shutdown::new();
        let (hub, asked, token) = (Hub::new(), Arc::new(Mutex::new(Vec::new())), Bearer::generate().unwrap());
        let settings = AtlassianSettings {
            base_url: simulator.provider_url.parse().unwrap(),
            ..AtlassianSettings::new(well_known::ORGANISATION, SecretString::from(well_known::key::READER))
        };
        let provider: Arc<dyn IdentityProvider> = Arc::new(AtlassianProvider::new(settings, clock.clone()).unwrap());
        let organisation = organisation(limits);
        let process = |db| {
            let patrol = Patrol::new(Parts {
                db,
                broker: broker.clone(),
                clock: clock.clone(),
                providers: BTreeMap::from([(organisation.id.clone(), provider.clone())]),
                organisations: Arc::new(BTreeMap::from([(organisation.id.clone(), organisation.clone())])),
                policy: hub.client("all").bearing(&token),
            });
            patrol.spawn(&shutdown);
            patrol
        };
        let patrol = process(database.clone());
        for _ in 1..processes {
            process(database.reopen().await);
        }
        let persons = Arc::new(Persons::default().with_service("patrol", &token).unwrap());
        let server = Server::new(persons, homeward_proto::FDS)
            .add(patrol.rpc())
            .add(sized!(PolicyServiceServer::new(Listener(asked.clone()))));
        tokio::spawn(server.serve_memory(hub.listen("all"), shutdown.token()));
        let teller = Outbox::new(neighbours.clone(), broker.clone(), clock, "policy");
        let (outbox, stop) = (teller.clone(), shutdown.token());
        tokio::spawn(async move { outbox.run(stop).await });
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(consume(broker, RECOVERY_EVENTS, Arc::new(Ear(heard.clone())), shutdown.token()));
        let patrol = sized!(PatrolServiceClient::new(hub.client("all").bearing(&token)));
        Self { simulator, teller, neighbours, patrol, asked, heard, shutdown, _database: database, _vhost: vhost }
    }

    pub async fn tell(&self, news: Vec<LeaseChanged>) {
        let batch = transaction!(self.neighbours, "test.tell", async |tx| -> Result<Batch, StoreError> {
            let mut batch = self.teller.batch();
            for event in &news {
                let lease = event.lease.as_ref().unwrap();
                let id: Uuid = lease.lease.parse().unwrap();
                let key = format!("{id}.{}", lease.version);
                batch.push(NewMessage::new("policy.event.lease-lent.v1", "northwind".parse().unwrap(), id, key, event));
            }
            batch.store(tx).await?;
            Ok(batch)
        })
        .unwrap();
        self.teller.publish(batch);
    }

    pub async fn report_when(&self, what: &str, holds: impl Fn(&GetReportResponse) -> bool) -> GetReportResponse {
        let began = Instant::now();
        loop {
            let request = GetReportRequest { organisation: "northwind".into() };
            let report = self.patrol.clone().get_report(request).await.unwrap().into_inner();
            if holds(&report) {
                return report;
            }
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}; the report is {report:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn returns_asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn incidents_so_far(&self) -> Vec<IncidentOpened> {
        self.heard.lock().unwrap().clone()
    }

    pub async fn incidents_when(&self, count: usize) -> Vec<IncidentOpened> {
        self.until("incidents", || self.heard.lock().unwrap().len() >= count).await;
        self.heard.lock().unwrap().clone()
    }

    pub async fn stop(self) {
        self.shutdown.begin("the test is over");
        self.shutdown.finish(Duration::from_secs(10)).await.unwrap();
    }
}

/// Hears of incidents, as recovery would.
struct Ear(Arc<Mutex<Vec<IncidentOpened>>>);

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        for received in batch.iter().filter(|received| received.envelope.kind == "patrol.event.incident-opened.v1") {
            self.0.lock().unwrap().push(received.envelope.decode().unwrap());
        }
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

/// A policy that notes which returns it is asked for.
struct Listener(Arc<Mutex<Vec<String>>>);

macro_rules! silent {
    ($($method:ident($request:ty) -> $response:ty;)+) => {
        #[tonic::async_trait]
        impl PolicyService for Listener {
            async fn return_lease(&self, request: Request<ReturnLeaseRequest>) -> Result<Response<ReturnLeaseResponse>, Status> {
                self.0.lock().unwrap().push(request.into_inner().lease);
                Ok(Response::new(ReturnLeaseResponse { state: LeaseState::Closing.into() }))
            }
            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("this policy only listens"))
            })+
        }
    };
}

silent! {
    read_facts(ReadFactsRequest) -> ReadFactsResponse;
    return_leases(ReturnLeasesRequest) -> ReturnLeasesResponse;
    get_lease(GetLeaseRequest) -> GetLeaseResponse;
    list_leases(ListLeasesRequest) -> ListLeasesResponse;
    release_lease(ReleaseLeaseRequest) -> ReleaseLeaseResponse;
    set_drain(SetDrainRequest) -> SetDrainResponse;
    compare_numbers(CompareNumbersRequest) -> CompareNumbersResponse;
    get_exposure(GetExposureRequest) -> GetExposureResponse;
}
