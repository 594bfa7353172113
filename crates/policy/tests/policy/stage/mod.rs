//! A stage for policy: the simulator, a broker, a database, and the other services played.

mod audience;
pub mod calls;
mod grants;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use homeward_chassis::auth::{Bearer, PersonConfig, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Server};
use homeward_chassis::shutdown::Shutdown;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::testing::Vhost;
use homeward_messaging::{Broker, Envelope, MemoryBroker, Outbox, topology};
use homeward_policy::ledger::Ledger;
use homeward_policy::opening_log::OpeningLog;
use homeward_policy::site::Site;
use homeward_policy::{Parts, Policy};
use homeward_proto::policy::v1;
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_provider::{AtlassianProvider, AtlassianSettings, IdentityProvider};
use homeward_simulator::{AccountTruth, Running, Simulator, SimulatorConfig, Truth, well_known};
use homeward_store::testing::{self, TestDatabase};
use homeward_types::{
    Clock, Email, Grant, LeaseId, Limits, MessageId, Organisation, OrganisationId, Policy as Settings, PolicyId, Role,
    SystemClock, Tiers, TwoStep,
};
use prost::Message;

pub use audience::Audience;
use grants::Recovery;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const ORGANISATION: &str = "northwind";

/// What a test may choose.
pub struct Plan {
    pub limits: Limits,
    pub simulator: SimulatorConfig,
    /// The provider's own time for one call.
    pub timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        let limits = Limits { hard_cap_percent: 50.0, exposure_percent: 50.0, ..Limits::short() };
        let simulator = SimulatorConfig { accounts: 60, stranded: 20, lost_phones: 10, ..SimulatorConfig::default() };
        Self { timeout: limits.client_timeout, limits, simulator }
    }
}

/// One database, one simulator, and policy's processes.
pub struct Stage {
    pub db: TestDatabase,
    pub simulator: Running,
    pub audience: Audience,
    pub recovery: Recovery,
    pub organisation: Organisation,
    pub folder: tempfile::TempDir,
    /// What the broker stands on, kept to the end.
    _remains: Box<dyn Send + Sync>,
    broker: Arc<dyn Broker>,
    timeout: Duration,
    hub: Hub,
    operators: [Bearer; 2],
    persons: Arc<Persons>,
    running: Vec<Shutdown>,
}

/// Runs a play on each database, with one process of policy.
pub async fn on_both<F: Future<Output = ()>>(plan: impl Fn() -> Plan, play: impl Fn(Stage) -> F) {
    for db in testing::migrated(&Policy::migrations()).await {
        let mut stage = Stage::set(db, plan()).await;
        stage.start_policy().await;
        play(stage).await;
    }
}

impl Stage {
    pub async fn set(db: TestDatabase, plan: Plan) -> Self {
        let broker_db = testing::sqlite().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let broker = MemoryBroker::open(topology::QUEUES, broker_db.clone(), clock).await.unwrap();
        Self::set_on(db, plan, Arc::new(broker), Box::new(broker_db)).await
    }

    /// A stage for several processes: on PostgreSQL with RabbitMQ between them.
    pub async fn set_for_several(db: TestDatabase, plan: Plan) -> Self {
        if !db.is_postgres() {
            return Self::set(db, plan).await;
        }
        let vhost = Vhost::make();
        let broker = vhost.broker(topology::QUEUES);
        Self::set_on(db, plan, broker, Box::new(vhost)).await
    }

    async fn set_on(db: TestDatabase, plan: Plan, broker: Arc<dyn Broker>, remains: Box<dyn Send + Sync>) -> Self {
        let simulator = Simulator::start(plan.simulator).await.unwrap();
        let operators = [Bearer::generate().unwrap(), Bearer::generate().unwrap()];
        let config = ["olga", "otto"].into_iter().zip(&operators).map(|(id, token)| operator(id, token)).collect::<Vec<_>>();
        let persons = Arc::new(Persons::from_config(&config).unwrap());
        Self {
            db,
            audience: Audience::seated(broker.clone()),
            simulator,
            recovery: Recovery::new(),
            organisation: organisation(plan.limits),
            folder: tempfile::tempdir().unwrap(),
            _remains: remains,
            broker,
            timeout: plan.timeout,
            hub: Hub::new(),
            operators,
            persons,
            running: Vec::new(),
        }
    }

    /// One more process of policy on the same database.
    pub async fn start_policy(&mut self) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let provider: Arc<dyn IdentityProvider> = Arc::new(self.provider(clock.clone()));
        let number = self.running.len();
        let keys = self.folder.path().join(number.to_string());
        std::fs::create_dir(&keys).unwrap();
        let parts = Parts {
            db: self.db.reopen().await,
            broker: self.broker.clone(),
            clock,
            organisations: Arc::new(BTreeMap::from([(self.organisation.id.clone(), self.organisation.clone())])),
            providers: BTreeMap::from([(self.organisation.id.clone(), provider)]),
            grant_keys: vec![self.recovery.public_key()],
            opening_log: keys.join("leases.log"),
            checkpoints: keys.join("checkpoints"),
            key_folder: keys,
        };
        let policy = Policy::new(parts).await.unwrap();
        let shutdown = Shutdown::new();
        policy.spawn(&shutdown);
        let server = Server::new(self.persons.clone(), homeward_proto::FDS).add(policy.rpc());
        let incoming = self.hub.listen("policy");
        shutdown.spawn("grpc", server.serve_memory(incoming, shutdown.token()));
        self.running.push(shutdown);
    }

    fn provider(&self, clock: Arc<dyn Clock>) -> AtlassianProvider {
        let settings = AtlassianSettings {
            base_url: self.simulator.provider_url.parse().unwrap(),
            timeout: self.timeout,
            patience: Duration::from_secs(2),
            ..AtlassianSettings::new(well_known::ORGANISATION, well_known::key::UNSCOPED.to_owned().into())
        };
        AtlassianProvider::new(settings, clock).unwrap()
    }

    /// The organisation as workers on this clock see it, on the same database and broker.
    pub async fn site(&self, clock: Arc<dyn Clock>) -> Site {
        let db = self.db.reopen().await;
        let outbox = Outbox::new(db.clone(), self.broker.clone(), clock.clone(), homeward_policy::SERVICE);
        let organisations = Arc::new(BTreeMap::from([(self.organisation.id.clone(), self.organisation.clone())]));
        let log = OpeningLog::open(&self.folder.path().join("site.log")).unwrap();
        let ledger = Ledger::new(db, outbox, clock.clone(), organisations, log);
        Site::open(self.organisation.clone(), Arc::new(self.provider(clock)), ledger).await.unwrap()
    }

    /// Drops the newest process where it stands.
    pub fn crash_policy(&mut self) {
        if let Some(process) = self.running.last() {
            process.crash();
        }
    }

    /// What policy serves, called by the first or the second operator.
    pub fn rpc(&self, operator: usize) -> PolicyServiceClient<Client> {
        PolicyServiceClient::new(self.hub.client("policy").bearing(&self.operators[operator]))
    }

    pub fn truth(&self) -> Truth {
        self.simulator.truth()
    }

    /// The `n`-th account in the login loop.
    pub fn stranded(&self, n: usize) -> AccountTruth {
        self.truth().by_email(&well_known::stranded_email(n)).unwrap()
    }

    pub fn policy_of(&self, account: &str) -> String {
        self.truth().account(account).and_then(|account| account.policy).unwrap_or_default()
    }

    /// A grant for the account as it is now.
    pub fn grant(&self, account: &AccountTruth) -> Grant {
        Recovery::grant(&self.organisation, account)
    }

    /// Asks policy to lend the account, as recovery would.
    pub async fn lend(&self, account: &AccountTruth) -> LeaseId {
        let grant = self.grant(account);
        self.lend_by(&grant).await;
        grant.lease
    }

    pub async fn lend_by(&self, grant: &Grant) {
        self.send_lend(grant.lease, self.recovery.sign(grant)).await;
    }

    pub async fn send_lend(&self, lease: LeaseId, command: v1::LendAccount) {
        self.command("policy.command.lend-account.v1", lease, &command).await;
    }

    /// Asks policy to return the account, as recovery would.
    pub async fn ask_back(&self, lease: LeaseId, account: &AccountTruth) {
        let command = v1::ReturnAccount {
            lease: lease.to_string(),
            organisation: ORGANISATION.into(),
            account: account.id.clone(),
            reason: "cancelled".into(),
        };
        self.command("policy.command.return-account.v1", lease, &command).await;
    }

    pub async fn command(&self, kind: &str, lease: LeaseId, payload: &impl Message) {
        let envelope = Envelope {
            id: MessageId::new(&SystemClock),
            kind: kind.into(),
            organisation: ORGANISATION.parse().unwrap(),
            correlation: lease.uuid(),
            causation: None,
            idempotency_key: lease.to_string(),
            sender: "recovery".into(),
            sender_number: 0,
            entity_version: 0,
            trace: TraceContext::default(),
            at: SystemClock.now(),
            expires_at: None,
            payload: Bytes::from(payload.encode_to_vec()),
        };
        let answers = self.broker.publish(vec![Arc::new(envelope)]).await;
        assert_eq!(answers, [Ok(())], "{kind} was not taken");
    }

    /// How often our moves took the account into this policy, by the ground truth.
    pub fn moves_into(&self, account: &str, policy: &str) -> usize {
        let log = self.truth().log(0);
        let ours = |effect: &&homeward_simulator::Effect| {
            effect.account == account
                && effect.fact == homeward_simulator::Fact::Policy
                && effect.to.as_deref() == Some(policy)
                && matches!(effect.cause, homeward_simulator::Cause::Task { .. })
        };
        log.iter().filter(ours).count()
    }

    /// Lends and returns one account, so that the organisation's versions are trusted from then on.
    pub async fn earn_trust(&self) {
        let account = self.stranded(20);
        let lease = self.lend(&account).await;
        self.audience.news(lease, v1::LeaseNews::Lent).await;
        self.ask_back(lease, &account).await;
        self.audience.news(lease, v1::LeaseNews::Closed).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for process in &self.running {
            process.crash();
        }
    }
}

fn operator(id: &str, token: &Bearer) -> PersonConfig {
    PersonConfig {
        id: id.parse().unwrap(),
        name: id.into(),
        email: None,
        roles: [Role::Operator].into(),
        accounts: [].into(),
        tokens_sha256: vec![token.sha256()],
    }
}

pub fn policy_id(id: &str) -> PolicyId {
    id.parse().unwrap()
}

fn organisation(limits: Limits) -> Organisation {
    use well_known::policy::{ENGINEERING, EVERYONE, GUESTS, RECOVERY, SINGLE_SIGN_ON};
    let settings = |name: &str, two_step| Settings { name: name.into(), two_step, factor_lives_in: None };
    let organisation = Organisation {
        id: ORGANISATION.parse::<OrganisationId>().unwrap(),
        policies: BTreeMap::from([
            (policy_id(EVERYONE), settings("Everyone", TwoStep::Mandatory)),
            (policy_id(ENGINEERING), settings("Engineering", TwoStep::Mandatory)),
            (policy_id(RECOVERY), settings("Recovery", TwoStep::Optional)),
            (policy_id(SINGLE_SIGN_ON), settings("Single sign-on", TwoStep::Delegated)),
            (policy_id(GUESTS), settings("Guests", TwoStep::Optional)),
        ]),
        recovery_policy: policy_id(RECOVERY),
        home_policies: [policy_id(EVERYONE), policy_id(ENGINEERING)].into(),
        default_home: policy_id(EVERYONE),
        tiers: Tiers::default(),
        limits,
    };
    organisation.check().unwrap();
    organisation
}

/// Waits until the condition holds, at most [`PATIENCE`].
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn email(text: &str) -> Email {
    text.parse().unwrap()
}
