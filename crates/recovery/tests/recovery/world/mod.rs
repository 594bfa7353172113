//! A recovery service on a database of its own, an in-process broker, and the others played.

mod directory;
mod mail;
mod policy;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use homeward_chassis::auth::{Bearer, PersonConfig, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Refused, Server};
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::testing::Vhost;
use homeward_messaging::topology::{
    DIRECTORY_WATCH, NOTIFICATION_NOTICES, POLICY_CARE, POLICY_LEND, POLICY_RETURN, RECOVERY_EVENTS,
};
use homeward_messaging::{Broker, MemoryBroker, QueueSpec};
use homeward_proto::recovery::v1 as wire;
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;
use homeward_recovery::grant::GrantKey;
use homeward_recovery::{Config, Parts, Recovery};
use homeward_store::Database;
use homeward_store::testing::{self, TestDatabase};
use homeward_types::{Clock, Limits, ManualClock, Organisation, Policy, Role, Tiers, Timestamp, TwoStep};

pub use directory::Directory;
pub use mail::Mail;
pub use policy::PolicyDouble;
pub use stage::Stage;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

const QUEUES: [QueueSpec; 6] = [RECOVERY_EVENTS, POLICY_LEND, POLICY_RETURN, POLICY_CARE, DIRECTORY_WATCH, NOTIFICATION_NOTICES];

pub const PUBLIC_URL: &str = "https://homeward.example";

/// Everything that one test needs.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub policy: Arc<PolicyDouble>,
    pub directory: Arc<Directory>,
    pub mail: Arc<Mail>,
    pub stage: Arc<Stage>,
    pub recovery: Recovery,
    pub db: TestDatabase,
    hub: Hub,
    persons: Arc<Persons>,
    organisations: Arc<BTreeMap<homeward_types::OrganisationId, Organisation>>,
    keys: tempfile::TempDir,
    role: Shutdown,
    others: Shutdown,
    /// What the broker stands on, kept to the end.
    _remains: Box<dyn Send + Sync>,
}

/// What a test wants to be different.
#[derive(Clone)]
pub struct Wishes {
    pub limits: Limits,
    pub accounts: usize,
    pub repair: Duration,
}

impl Default for Wishes {
    fn default() -> Self {
        // As shipped, but an organisation of a few accounts may have all of them out.
        let limits = Limits { exposure_percent: 100.0, hard_cap_percent: 100.0, ..Limits::default() };
        Self { limits, accounts: 200, repair: Duration::from_millis(200) }
    }
}

/// Runs a test in a world on each engine.
pub async fn on_each_engine<F: AsyncFn(World)>(wishes: Wishes, test: F) {
    for db in testing::migrated(&Recovery::migrations()).await {
        test(World::start(db, wishes.clone()).await).await;
    }
}

pub fn start_of_time() -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn organisation(limits: Limits) -> Organisation {
    let policy = |name: &str, two_step| Policy { name: name.into(), two_step, factor_lives_in: None };
    Organisation {
        id: "acme".parse().unwrap(),
        policies: [
            ("strict".parse().unwrap(), policy("Everyone", TwoStep::Mandatory)),
            ("lent".parse().unwrap(), policy("Recovery", TwoStep::Optional)),
        ]
        .into(),
        recovery_policy: "lent".parse().unwrap(),
        home_policies: ["strict".parse().unwrap()].into(),
        default_home: "strict".parse().unwrap(),
        tiers: Tiers::default(),
        limits,
    }
}

fn token(person: &str) -> Bearer {
    Bearer::new(&format!("{person}-token")).unwrap()
}

fn person(id: &str, roles: &[Role], accounts: &[&str]) -> PersonConfig {
    PersonConfig {
        id: id.parse().unwrap(),
        name: format!("{} Person", id.to_uppercase()),
        email: Some(format!("{id}@desk.example").parse().unwrap()),
        roles: roles.iter().copied().collect(),
        accounts: accounts.iter().map(|account| account.parse().unwrap()).collect::<BTreeSet<_>>(),
        tokens_sha256: vec![token(id).sha256()],
    }
}

fn persons() -> Persons {
    let mut second_entry = person("rita2", &[Role::Approver], &[]);
    second_entry.email = Some("rita@desk.example".parse().unwrap());
    let mut owner = person("ines", &[Role::Approver], &[]);
    owner.email = Some("acc3@example.com".parse().unwrap());
    Persons::from_config(&[
        person("rita", &[Role::Requester], &["acc1"]),
        person("rolf", &[Role::Requester], &[]),
        person("anna", &[Role::Approver], &["acc2"]),
        person("boris", &[Role::Approver], &[]),
        person("otto", &[Role::Operator], &[]),
        person("arno", &[Role::Auditor], &[]),
        second_entry,
        owner,
    ])
    .unwrap()
    .with_service("recovery", &token("recovery"))
    .unwrap()
}

impl World {
    pub async fn start(db: TestDatabase, wishes: Wishes) -> Self {
        let clock = Arc::new(ManualClock::new(start_of_time()));
        let dead_letters = testing::sqlite().await;
        let broker = MemoryBroker::open(&QUEUES, (*dead_letters).clone(), clock.clone()).await.unwrap();
        Self::start_on(db, wishes, clock, Arc::new(broker), Box::new(dead_letters)).await
    }

    /// A world for several processes: on PostgreSQL with RabbitMQ between them.
    pub async fn start_for_several(db: TestDatabase, wishes: Wishes) -> Self {
        if !db.is_postgres() {
            return Self::start(db, wishes).await;
        }
        let vhost = Vhost::make();
        let broker = vhost.broker(&QUEUES);
        Self::start_on(db, wishes, Arc::new(ManualClock::new(start_of_time())), broker, Box::new(vhost)).await
    }

    async fn start_on(
        db: TestDatabase,
        wishes: Wishes,
        clock: Arc<ManualClock>,
        broker: Arc<dyn Broker>,
        remains: Box<dyn Send + Sync>,
    ) -> Self {
        let stage = Arc::new(Stage::new(broker, clock.clone()));
        let keys = tempfile::tempdir().unwrap();
        let organisations = Arc::new(BTreeMap::from([("acme".parse().unwrap(), organisation(wishes.limits.clone()))]));
        let persons = Arc::new(persons());
        let (hub, role, others) = (Hub::new(), Shutdown::new(), Shutdown::new());

        let directory = Arc::new(Directory::new(stage.clone(), wishes.accounts));
        let policy = Arc::new(PolicyDouble::new(stage.clone()));
        let mail = Arc::new(Mail::new(stage.clone()));
        let server = Server::new(persons.clone(), homeward_proto::FDS).add(directory.rpc());
        others.spawn("directory", server.serve_memory(hub.listen("directory"), others.token()));
        let server = Server::new(persons.clone(), homeward_proto::FDS).add(policy.rpc());
        others.spawn("policy", server.serve_memory(hub.listen("policy"), others.token()));
        directory.clone().spawn(&others);
        policy.clone().spawn(&others);
        mail.clone().spawn(&others);

        let config = Config { public_url: PUBLIC_URL.into(), repair: wishes.repair, ..Config::default() };
        let parts = Parts {
            db: (*db).clone(),
            broker: stage.broker.clone(),
            clock: clock.clone(),
            organisations: organisations.clone(),
            persons: persons.clone(),
            directory: hub.client("directory").bearing(&token("recovery")),
            policy: hub.client("policy").bearing(&token("recovery")),
            grant_key: GrantKey::load_or_create(keys.path()).unwrap(),
            key_folder: keys.path().to_owned(),
            checkpoints: keys.path().join("checkpoints.log"),
            config,
        };
        let recovery = Recovery::new(parts).await.unwrap();
        policy.trust(recovery.kid(), recovery.public_key());
        let world = Self {
            clock,
            policy,
            directory,
            mail,
            stage,
            recovery,
            db,
            hub,
            persons,
            organisations,
            keys,
            role,
            others,
            _remains: remains,
        };
        world.serve();
        world
    }

    fn serve(&self) {
        let server = Server::new(self.persons.clone(), homeward_proto::FDS).add(self.recovery.rpc());
        self.role.spawn("recovery", server.serve_memory(self.hub.listen("recovery"), self.role.token()));
        self.recovery.spawn(&self.role);
    }

    /// One more process on the same database, with the same keys; it answers calls from now on.
    pub async fn start_another(&mut self) {
        let parts = self.parts(self.db.reopen().await);
        self.recovery = Recovery::new(parts).await.unwrap();
        self.serve();
    }

    fn parts(&self, db: Database) -> Parts {
        Parts {
            db,
            broker: self.stage.broker.clone(),
            clock: self.clock.clone(),
            organisations: self.organisations.clone(),
            persons: self.persons.clone(),
            directory: self.hub.client("directory").bearing(&token("recovery")),
            policy: self.hub.client("policy").bearing(&token("recovery")),
            grant_key: GrantKey::load_or_create(self.keys.path()).unwrap(),
            key_folder: self.keys.path().to_owned(),
            checkpoints: self.keys.path().join("checkpoints.log"),
            config: Config { public_url: PUBLIC_URL.into(), repair: Duration::from_millis(200), ..Config::default() },
        }
    }

    /// Drops the service where it stands, and starts another one on the same database a little later: what was not
    /// confirmed is the relay's by then, and what was not answered is asked again.
    pub async fn crash_and_restart(&mut self) {
        self.advance(TimeDelta::seconds(31));
        self.role.crash();
        self.role.finish(PATIENCE).await.ok();
        self.role = Shutdown::new();
        let parts = self.parts(self.db.reopen().await);
        self.recovery = Recovery::new(parts).await.unwrap();
        self.serve();
    }

    pub fn database(&self) -> &Database {
        &self.db
    }

    /// A client that calls as this person.
    pub fn as_person(&self, person: &str) -> RecoveryServiceClient<Client> {
        homeward_chassis::sized!(RecoveryServiceClient::new(self.hub.client("recovery").bearing(&token(person))))
    }

    /// A client without a token.
    pub fn as_nobody(&self) -> RecoveryServiceClient<Client> {
        RecoveryServiceClient::new(self.hub.client("recovery"))
    }

    pub async fn ask(&self, query: &str) -> wire::RequestResult {
        self.ask_as("rita", vec![new_recovery(query)]).await.pop().unwrap()
    }

    pub async fn ask_as(&self, person: &str, recoveries: Vec<wire::NewRecovery>) -> Vec<wire::RequestResult> {
        let request = wire::RequestRecoveriesRequest { organisation: "acme".into(), recoveries };
        self.as_person(person).request_recoveries(request).await.unwrap().into_inner().results
    }

    /// Asks for a recovery that must be opened.
    pub async fn opened(&self, query: &str) -> String {
        let result = self.ask(query).await;
        assert_eq!(result.problem, None, "{query}");
        result.recovery
    }

    pub async fn prove(&self, recovery: &str, kind: homeward_proto::words::v1::ProofKind) -> wire::ItemResult {
        let proof = wire::Proof { recovery: recovery.into(), kind: kind.into(), evidence: "called back on +49 30 1".into() };
        let request = wire::AttachProofsRequest { proofs: vec![proof] };
        self.as_person("rita").attach_proofs(request).await.unwrap().into_inner().results.pop().unwrap()
    }

    pub async fn vote(&self, person: &str, recovery: &str, approve: bool) -> wire::ItemResult {
        let vote = wire::Vote { recovery: recovery.into(), approve, reason: "seen the proof".into() };
        let request = wire::CastVotesRequest { votes: vec![vote] };
        self.as_person(person).cast_votes(request).await.unwrap().into_inner().results.pop().unwrap()
    }

    /// A recovery that was asked for, proved and approved.
    pub async fn approved(&self, query: &str) -> String {
        let recovery = self.opened(query).await;
        assert_eq!(self.prove(&recovery, homeward_proto::words::v1::ProofKind::CallBack).await.problem, None);
        assert_eq!(self.vote("anna", &recovery, true).await.problem, None);
        recovery
    }

    pub async fn show(&self, recovery: &str) -> wire::GetRecoveryResponse {
        let request = wire::GetRecoveryRequest { recovery: recovery.into() };
        self.as_person("arno").get_recovery(request).await.unwrap().into_inner()
    }

    pub async fn step(&self, recovery: &str) -> String {
        self.show(recovery).await.recovery.unwrap().step
    }

    /// Waits until the recovery is at this step.
    pub async fn at(&self, recovery: &str, step: &str) -> wire::Recovery {
        self.shown_when(recovery, step, |shown| shown.step == step).await
    }

    /// Waits until what is shown of the recovery is as it must be.
    pub async fn shown_when(&self, recovery: &str, what: &str, is_so: impl Fn(&wire::Recovery) -> bool) -> wire::Recovery {
        let mut last = None;
        for _ in 0..PATIENCE.as_millis() / 5 {
            let shown = self.show(recovery).await.recovery.unwrap();
            if is_so(&shown) {
                return shown;
            }
            last = Some(shown);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{recovery} did not come to {what} on {}: {last:?}", self.db.system());
    }

    pub async fn kinds(&self, recovery: &str) -> Vec<String> {
        self.show(recovery).await.timeline.into_iter().map(|entry| entry.kind).collect()
    }

    pub async fn incidents(&self) -> Vec<wire::Incident> {
        let request = wire::ListIncidentsRequest { organisation: "acme".into(), ..wire::ListIncidentsRequest::default() };
        self.as_person("otto").list_incidents(request).await.unwrap().into_inner().incidents
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends everything; a task that failed fails the test.
    pub async fn end(self) {
        self.role.begin("the test is over");
        self.role.finish(PATIENCE).await.unwrap();
        self.others.begin("the test is over");
        self.others.finish(PATIENCE).await.unwrap();
    }
}

pub fn new_recovery(query: &str) -> wire::NewRecovery {
    wire::NewRecovery { query: query.into(), reason: "lost the phone".into(), ..wire::NewRecovery::default() }
}

/// Waits until something is so.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 5 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// Why a call was refused.
pub fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> Refused {
    Refused::from_status(&answer.unwrap_err())
}

pub fn reason(result: Option<wire::Problem>) -> String {
    result.map(|problem| problem.reason).unwrap_or_default()
}
