//! Directory with its neighbours: a simulated provider, a recovery that asks and listens, and callers of several kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use homeward_chassis::auth::{Bearer, PersonConfig, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Server, sized};
use homeward_chassis::shutdown::Shutdown;
use homeward_directory::{Directory, Parts};
use homeward_messaging::testing::Vhost;
use homeward_messaging::topology::{DIRECTORY_WATCH, QUEUES, RECOVERY_EVENTS};
use homeward_messaging::{Batch, Broker, HandleError, Handler, MemoryBroker, NewMessage, Outbox, Received, Verdict, consume};
use homeward_proto::directory::v1::directory_service_client::DirectoryServiceClient;
use homeward_proto::directory::v1::{
    AccountChange, AccountChanged, AccountEnrolled, FactorAbsent, FindAccountsRequest, FindAccountsResponse, GetSyncRequest,
    GetSyncResponse, UnwatchAccount, WatchAccount,
};
use homeward_proto::wire::timestamp;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_provider::{EventActions, IdentityProvider};
use homeward_simulator::well_known::{self, Person, policy};
use homeward_simulator::{Drift, Running, Simulator, SimulatorConfig};
use homeward_store::testing::{TestDatabase, migrated, sqlite};
use homeward_store::{StoreError, transaction};
use homeward_types::{Clock, Limits, Organisation, Policy, PolicyId, Role, SystemClock, Tiers, TwoStep};
use secrecy::SecretString;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a world is like.
#[derive(Clone)]
pub struct Options {
    pub limits: Limits,
    pub simulator: SimulatorConfig,
    pub enrolled_action: Option<&'static str>,
}

impl Default for Options {
    /// A small organisation that is swept every second.
    fn default() -> Self {
        Self {
            limits: Limits { sync: Duration::from_millis(500), ..Limits::short() },
            simulator: SimulatorConfig { accounts: 320, ..SimulatorConfig::default() },
            enrolled_action: None,
        }
    }
}

/// What recovery heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Absent(Uuid),
    Enrolled(Uuid, String),
    Changed(String, i64, Vec<AccountChange>),
}

pub struct World {
    pub simulator: Running,
    pub database: TestDatabase,
    options: Options,
    broker: Arc<dyn Broker>,
    asker: Outbox,
    neighbours: TestDatabase,
    heard: Arc<Mutex<Vec<Heard>>>,
    hub: Hub,
    tokens: BTreeMap<&'static str, Bearer>,
    persons: Arc<Persons>,
    running: Shutdown,
    around: Shutdown,
    _vhost: Option<Vhost>,
}

/// One world for each engine.
pub async fn worlds(options: &Options) -> Vec<World> {
    let mut all = Vec::new();
    for database in migrated(&Directory::migrations()).await {
        let mut world = World::open(database, options.clone()).await;
        world.start().await;
        all.push(world);
    }
    all
}

/// A world of two processes for each engine: on PostgreSQL with RabbitMQ between them.
pub async fn worlds_of_two(options: &Options) -> Vec<World> {
    let mut all = Vec::new();
    for database in migrated(&Directory::migrations()).await {
        let vhost = database.is_postgres().then(Vhost::make);
        let mut world = World::open_on(database, options.clone(), vhost).await;
        world.start().await;
        world.start_another().await;
        all.push(world);
    }
    all
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

fn persons(tokens: &BTreeMap<&'static str, Bearer>) -> Persons {
    let person = |name: &str, roles: &[Role]| PersonConfig {
        id: name.parse().unwrap(),
        name: name.into(),
        email: None,
        roles: roles.iter().copied().collect(),
        accounts: BTreeSet::new(),
        tokens_sha256: vec![tokens[name].sha256()],
    };
    let config = [person("hana", &[Role::Requester]), person("nobody", &[])];
    Persons::from_config(&config).unwrap().with_service("recovery", &tokens["recovery"]).unwrap()
}

impl World {
    pub async fn open(database: TestDatabase, options: Options) -> Self {
        Self::open_on(database, options, None).await
    }

    async fn open_on(database: TestDatabase, options: Options, vhost: Option<Vhost>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let simulator = Simulator::start(options.simulator.clone()).await.unwrap();
        let neighbours = sqlite().await;
        neighbours.migrate(&[homeward_messaging::MIGRATIONS]).await.unwrap();
        let broker: Arc<dyn Broker> = match &vhost {
            Some(vhost) => vhost.broker(QUEUES),
            None => Arc::new(MemoryBroker::open(QUEUES, neighbours.clone(), clock.clone()).await.unwrap()),
        };
        let around = Shutdown::new();
        let asker = Outbox::new(neighbours.clone(), broker.clone(), clock, "recovery");
        let (outbox, stop) = (asker.clone(), around.token());
        tokio::spawn(async move { outbox.run(stop).await });
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(consume(broker.clone(), RECOVERY_EVENTS, Arc::new(Ear(heard.clone())), around.token()));
        let tokens: BTreeMap<_, _> = ["recovery", "hana", "nobody"].map(|name| (name, Bearer::generate().unwrap())).into();
        let persons = Arc::new(persons(&tokens));
        let (hub, running) = (Hub::new(), Shutdown::new());
        Self {
            simulator,
            database,
            options,
            broker,
            asker,
            neighbours,
            heard,
            hub,
            tokens,
            persons,
            running,
            around,
            _vhost: vhost,
        }
    }

    /// A directory of its own process on the world's database.
    async fn directory(&self) -> Directory {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut settings = AtlassianSettings::new(well_known::ORGANISATION, SecretString::from(well_known::key::UNSCOPED));
        settings.base_url = self.simulator.provider_url.parse().unwrap();
        settings.timeout = Duration::from_secs(2);
        settings.event_actions = EventActions {
            factor_enrolled: self.options.enrolled_action.iter().map(ToString::to_string).collect(),
            ..EventActions::default()
        };
        let provider: Arc<dyn IdentityProvider> = Arc::new(AtlassianProvider::new(settings, clock.clone()).unwrap());
        let organisation = organisation(self.options.limits.clone());
        let parts = Parts {
            db: self.database.reopen().await,
            broker: self.broker.clone(),
            clock,
            providers: BTreeMap::from([(organisation.id.clone(), provider)]),
            organisations: Arc::new(BTreeMap::from([(organisation.id.clone(), organisation)])),
        };
        Directory::new(parts).await.unwrap()
    }

    /// What a directory says that was given no provider.
    pub async fn without_provider(database: &TestDatabase) -> String {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let broker = Arc::new(MemoryBroker::open(QUEUES, sqlite().await.clone(), clock.clone()).await.unwrap());
        let organisation = organisation(Limits::short());
        let organisations = Arc::new(BTreeMap::from([(organisation.id.clone(), organisation)]));
        let parts = Parts { db: database.reopen().await, broker, clock, organisations, providers: BTreeMap::new() };
        Directory::new(parts).await.map(drop).unwrap_err().to_string()
    }

    /// Starts directory.
    pub async fn start(&mut self) {
        self.running = Shutdown::new();
        let directory = self.directory().await;
        directory.spawn(&self.running);
        let server = Server::new(self.persons.clone(), homeward_proto::FDS).add(directory.rpc());
        tokio::spawn(server.serve_memory(self.hub.listen("directory"), self.running.token()));
    }

    /// Starts a second process that does the same.
    pub async fn start_another(&self) {
        self.directory().await.spawn(&self.running);
    }

    /// From now on a second process answers calls; the first one goes on with what it does by itself.
    pub async fn serve_by_another(&mut self) {
        let directory = self.directory().await;
        directory.spawn(&self.running);
        let server = Server::new(self.persons.clone(), homeward_proto::FDS).add(directory.rpc());
        self.hub = Hub::new();
        tokio::spawn(server.serve_memory(self.hub.listen("directory"), self.running.token()));
    }

    /// Drops directory where it stands.
    pub fn crash(&self) {
        self.running.crash();
    }

    pub async fn stop(self) {
        self.running.begin("the test is over");
        self.running.finish(Duration::from_secs(10)).await.unwrap();
        self.around.begin("the test is over");
    }

    pub fn client(&self, name: &str) -> DirectoryServiceClient<Client> {
        sized!(DirectoryServiceClient::new(self.hub.client("directory").bearing(&self.tokens[name])))
    }

    /// What a service finds.
    pub async fn find<S: ToString>(&self, queries: impl IntoIterator<Item = S>) -> FindAccountsResponse {
        let queries = queries.into_iter().map(|query| query.to_string()).collect();
        let request = FindAccountsRequest { organisation: "northwind".into(), queries };
        self.client("recovery").find_accounts(request).await.unwrap().into_inner()
    }

    /// The ids of what each query matches.
    pub async fn ids<S: ToString>(&self, queries: impl IntoIterator<Item = S>) -> Vec<Vec<String>> {
        let findings = self.find(queries).await.findings;
        findings.into_iter().map(|finding| finding.matches.into_iter().map(|account| account.account).collect()).collect()
    }

    pub async fn sync(&self) -> GetSyncResponse {
        self.client("recovery").get_sync(GetSyncRequest { organisation: "northwind".into() }).await.unwrap().into_inner()
    }

    pub async fn sync_when(&self, what: &str, holds: impl Fn(&GetSyncResponse) -> bool) -> GetSyncResponse {
        let began = Instant::now();
        loop {
            let sync = self.sync().await;
            if holds(&sync) {
                return sync;
            }
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}; it is {sync:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the end of a sweep that began after this call.
    pub async fn swept(&self) -> GetSyncResponse {
        let now = SystemClock.now();
        // The sweep that runs now may have passed what the test changed; the next one has not.
        let ended =
            |sync: &GetSyncResponse| sync.last_full_sync.is_some_and(|at| at.seconds > now.timestamp() - 1 && moment(at) > now);
        let first = self.sync_when("a sweep", ended).await.last_full_sync.map(moment);
        self.sync_when("another sweep", |sync| sync.last_full_sync.map(moment) > first).await
    }

    pub fn drift(&self, person: &Person, drift: Drift) {
        self.simulator.truth().drift(person.id, drift).unwrap();
    }

    /// Calls that the provider got whose name holds this text.
    pub fn calls(&self, part: &str) -> u64 {
        self.simulator.truth().calls().iter().filter(|call| call.call.contains(part)).map(|call| call.count).sum()
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub async fn heard_when(&self, what: &str, holds: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let began = Instant::now();
        loop {
            let heard = self.heard();
            if holds(&heard) {
                return heard;
            }
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}; heard {heard:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What recovery asks about an account that was seen out just now.
    pub fn watching(&self, lease: Uuid, account: &str) -> WatchAccount {
        let truth = self.simulator.truth().account(account).unwrap();
        WatchAccount {
            lease: lease.to_string(),
            organisation: "northwind".into(),
            account: account.into(),
            email: truth.email,
            seen_out_at: Some(timestamp(SystemClock.now())),
            out_version: truth.version,
            until: Some(timestamp(SystemClock.now() + chrono::TimeDelta::minutes(5))),
        }
    }

    pub async fn watch(&self, commands: &[WatchAccount]) {
        let new = |command: &WatchAccount| message("watch-account", &command.lease, command);
        self.send(commands.iter().map(new).collect()).await;
    }

    pub async fn unwatch(&self, lease: Uuid, account: &str) {
        let command = UnwatchAccount { lease: lease.to_string(), organisation: "northwind".into(), account: account.into() };
        self.send(vec![message("unwatch-account", &command.lease, &command)]).await;
    }

    pub async fn send(&self, messages: Vec<NewMessage>) {
        let batch = transaction!(self.neighbours, "test.ask", async |tx| -> Result<Batch, StoreError> {
            let mut batch = self.asker.batch();
            for message in &messages {
                batch.push(message.clone());
            }
            batch.store(tx).await?;
            Ok(batch)
        })
        .unwrap();
        self.asker.publish(batch);
    }

    pub async fn dead_letters(&self) -> usize {
        self.broker.dead(&DIRECTORY_WATCH, 10).await.unwrap().len()
    }

    /// What a person does in the browser.
    pub async fn post(&self, path: &str, body: &str) -> String {
        let url = format!("{}{path}", self.simulator.provider_url);
        let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body.to_owned());
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }
}

fn moment(at: impl Into<Option<prost_types::Timestamp>>) -> chrono::DateTime<chrono::Utc> {
    homeward_proto::wire::moment("at", at.into()).unwrap()
}

pub fn message(name: &str, lease: &str, payload: &impl prost::Message) -> NewMessage {
    let id = lease.parse().unwrap_or(Uuid::nil());
    NewMessage::new(format!("directory.command.{name}.v1"), "northwind".parse().unwrap(), id, format!("{lease}.{name}"), payload)
}

/// Hears what recovery would hear.
struct Ear(Arc<Mutex<Vec<Heard>>>);

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let heard = batch.iter().map(|received| {
            let envelope = &received.envelope;
            match envelope.kind.as_str() {
                "directory.event.factor-absent.v1" => {
                    Heard::Absent(envelope.decode::<FactorAbsent>().unwrap().lease.parse().unwrap())
                }
                "directory.event.account-enrolled.v1" => {
                    let event: AccountEnrolled = envelope.decode().unwrap();
                    Heard::Enrolled(event.lease.parse().unwrap(), event.evidence)
                }
                "directory.event.account-changed.v1" => {
                    let event: AccountChanged = envelope.decode().unwrap();
                    Heard::Changed(event.account.clone(), event.version, event.changes().collect())
                }
                other => panic!("directory never says {other}"),
            }
        });
        let heard: Vec<Heard> = heard.collect();
        self.0.lock().unwrap().extend(heard);
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}
