//! A stage: an organisation of its own, Homeward in this process, a broker that is watched, and the people who act.

mod house;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use homeward_chassis::auth::{Bearer, PersonConfig, Persons};
use homeward_chassis::rpc::Client;
use homeward_chassis::rpc::memory::Hub;
use homeward_messaging::{MemoryBroker, topology};
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;
use homeward_proto::recovery::v1::{self, AttachProofsRequest, CastVotesRequest, NewRecovery, Proof, Vote};
use homeward_proto::words::v1::ProofKind;
use homeward_simulator::{AccountTruth, Effect, Fact, Running, Simulator, SimulatorConfig, Truth, well_known};
use homeward_store::{Database, Options};
use homeward_types::{Limits, Organisation, Policy, PolicyId, Role, SystemClock, Tiers, TwoStep};
use tempfile::TempDir;

pub use house::{Ground, House};
pub use witness::Witness;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The organisation's short name.
pub const ORGANISATION: &str = "northwind";

/// What a scene may choose.
pub struct Plan {
    pub limits: Limits,
    pub simulator: SimulatorConfig,
}

impl Default for Plan {
    fn default() -> Self {
        let limits = Limits { exposure_percent: 50.0, hard_cap_percent: 50.0, many_requests: u32::MAX, ..Limits::short() };
        let simulator = SimulatorConfig { accounts: 40, stranded: 12, lost_phones: 4, ..SimulatorConfig::default() };
        Self { limits, simulator }
    }
}

/// Who acts.
pub struct Tokens {
    /// Asks.
    pub requester: Bearer,
    /// Approve and operate.
    pub operators: [Bearer; 2],
}

/// A stage.
pub struct Stage {
    pub simulator: Running,
    pub witness: Arc<Witness>,
    pub ground: Ground,
    pub tokens: Tokens,
    house: Option<House>,
    _folder: TempDir,
}

/// A recovery of an account.
#[derive(Debug, Clone)]
pub struct Case {
    pub id: String,
    pub account: AccountTruth,
}

impl Stage {
    /// A stage on which Homeward runs and knows everybody.
    pub async fn set(plan: Plan) -> Self {
        let folder = tempfile::Builder::new().prefix("homeward-guarantee-").tempdir().unwrap();
        let simulator = Simulator::start(plan.simulator).await.unwrap();
        let address = format!("sqlite://{}", folder.path().join("broker.db").display());
        let broker_db = Database::open(&address, &Options::default()).await.unwrap();
        let broker = MemoryBroker::open(topology::QUEUES, broker_db, Arc::new(SystemClock)).await.unwrap();
        let witness = Arc::new(Witness::of(broker));
        let one = || Bearer::generate().unwrap();
        let (tokens, services) = (Tokens { requester: one(), operators: [one(), one()] }, [one(), one()]);
        let persons = Persons::from_config(&persons(&tokens)).unwrap();
        let persons = persons.with_service("recovery", &services[0]).unwrap().with_service("patrol", &services[1]).unwrap();
        let ground = Ground {
            folder: folder.path().to_owned(),
            provider: simulator.provider_url.clone(),
            organisation: organisation(plan.limits),
            persons: Arc::new(persons),
            services,
            broker: witness.clone(),
            clock: Arc::new(SystemClock),
            hub: Hub::new(),
        };
        let mut stage = Self { simulator, witness, ground, tokens, house: None, _folder: folder };
        stage.move_in().await;
        stage
    }

    /// Starts Homeward, and waits until it can lend.
    pub async fn move_in(&mut self) {
        self.move_in_blind().await;
        self.until("the directory was read", async || {
            let request = homeward_proto::directory::v1::GetSyncRequest { organisation: ORGANISATION.into() };
            let mut directory = homeward_proto::directory::v1::directory_service_client::DirectoryServiceClient::new(
                self.ground.client(&self.tokens.operators[0]),
            );
            directory.get_sync(request).await.is_ok_and(|answer| answer.get_ref().last_full_sync.is_some())
        })
        .await;
        self.until("policy counted the accounts", async || {
            let request = homeward_proto::policy::v1::GetExposureRequest { organisation: ORGANISATION.into() };
            self.policy(0).get_exposure(request).await.is_ok_and(|answer| answer.get_ref().hard_cap > 1)
        })
        .await;
    }

    /// Starts Homeward, whether the provider answers or not.
    pub async fn move_in_blind(&mut self) {
        self.house = Some(self.ground.move_in().await);
    }

    /// Stops Homeward in good order.
    pub async fn move_out(&mut self) {
        if let Some(house) = self.house.take() {
            house.move_out().await;
        }
    }

    pub fn truth(&self) -> Truth {
        self.simulator.truth()
    }

    /// Cases, in the name of the requester.
    pub fn recovery(&self) -> RecoveryServiceClient<Client> {
        RecoveryServiceClient::new(self.ground.client(&self.tokens.requester))
    }

    /// Leases, in the name of the first or the second operator.
    pub fn policy(&self, operator: usize) -> PolicyServiceClient<Client> {
        PolicyServiceClient::new(self.ground.client(&self.tokens.operators[operator]))
    }

    /// The `n`-th account in the login loop.
    pub fn stranded(&self, n: usize) -> AccountTruth {
        self.truth().by_email(&well_known::stranded_email(n)).unwrap()
    }

    /// The policy that the account is in.
    pub fn policy_of(&self, account: &str) -> String {
        self.truth().account(account).and_then(|account| account.policy).unwrap_or_default()
    }

    /// Every change of an account's policy, in order.
    pub fn moves(&self, account: &str) -> Vec<Effect> {
        self.truth().log(0).into_iter().filter(|effect| effect.account == account && effect.fact == Fact::Policy).collect()
    }

    /// Asks for one account, and leaves it at that.
    pub async fn ask(&self, account: &AccountTruth) -> Case {
        self.ask_for(std::slice::from_ref(account)).await.remove(0)
    }

    async fn ask_for(&self, accounts: &[AccountTruth]) -> Vec<Case> {
        let wanted = accounts.iter().map(|account| request(&account.email));
        let request = v1::RequestRecoveriesRequest { organisation: ORGANISATION.into(), recoveries: wanted.collect() };
        let results = self.recovery().request_recoveries(request).await.unwrap().into_inner().results;
        let case = |(result, account): (v1::RequestResult, &AccountTruth)| {
            assert!(result.problem.is_none(), "{}: {:?}", account.email, result.problem);
            Case { id: result.recovery, account: account.clone() }
        };
        results.into_iter().zip(accounts).map(case).collect()
    }

    /// Asks for these accounts, proves and has it approved.
    pub async fn open(&self, accounts: &[AccountTruth]) -> Vec<Case> {
        let cases = self.ask_for(accounts).await;
        self.prove(&cases).await;
        self.approve(&cases).await;
        cases
    }

    /// Asks for one account.
    pub async fn open_one(&self, account: &AccountTruth) -> Case {
        self.open(std::slice::from_ref(account)).await.remove(0)
    }

    async fn prove(&self, cases: &[Case]) {
        let proof = |case: &Case| Proof {
            recovery: case.id.clone(),
            kind: ProofKind::CallBack.into(),
            evidence: "called back on the number on file".into(),
        };
        let request = AttachProofsRequest { proofs: cases.iter().map(proof).collect() };
        let results = self.recovery().attach_proofs(request).await.unwrap().into_inner().results;
        assert!(results.iter().all(|item| item.problem.is_none()), "{results:?}");
    }

    async fn approve(&self, cases: &[Case]) {
        let vote = |case: &Case| Vote { recovery: case.id.clone(), approve: true, reason: "I know the caller".into() };
        let request = CastVotesRequest { votes: cases.iter().map(vote).collect() };
        let mut approver = RecoveryServiceClient::new(self.ground.client(&self.tokens.operators[0]));
        let results = approver.cast_votes(request).await.unwrap().into_inner().results;
        assert!(results.iter().all(|item| item.problem.is_none()), "{results:?}");
    }

    /// The requester cancels.
    pub async fn cancel(&self, case: &Case) {
        let request = v1::CancelRecoveryRequest { recovery: case.id.clone(), reason: "the phone was found".into() };
        self.recovery().cancel_recovery(request).await.unwrap();
    }

    /// The case as recovery shows it.
    pub async fn shown(&self, case: &Case) -> v1::Recovery {
        let request = v1::GetRecoveryRequest { recovery: case.id.clone() };
        self.recovery().get_recovery(request).await.unwrap().into_inner().recovery.unwrap()
    }

    /// Waits until the condition holds.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !condition().await {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}\n{}", self.told());
            self.witness.next(Duration::from_millis(20)).await;
        }
    }

    /// What was told so far, for whoever wonders why a test fails.
    pub fn told(&self) -> String {
        let leases = self.witness.leases();
        let leases = leases
            .iter()
            .map(|lease| format!("{} v{} {:?} {:?} {}", lease.lease, lease.version, lease.state(), lease.end(), lease.evidence));
        let incidents = self.witness.incidents();
        let incidents = incidents.iter().map(|incident| format!("{} {}", incident.kind, incident.sentence));
        leases.chain(incidents).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(house) = &self.house {
            house.crash();
        }
    }
}

/// A request for an account.
pub fn request(email: &str) -> NewRecovery {
    NewRecovery {
        query: email.into(),
        reason: "lost phone".into(),
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        prefilled_from: String::new(),
    }
}

fn persons(tokens: &Tokens) -> Vec<PersonConfig> {
    let [first, second] = &tokens.operators;
    let all = [
        ("requester", "Hana Novak", &[Role::Requester][..], &tokens.requester),
        ("approver", "Tom Riley", &[Role::Approver, Role::Operator], first),
        ("operator", "Uma Quinn", &[Role::Operator], second),
    ];
    all.map(|(id, name, roles, token)| PersonConfig {
        id: id.parse().unwrap(),
        name: name.into(),
        email: Some(format!("{id}@help.example").parse().unwrap()),
        roles: roles.iter().copied().collect(),
        accounts: [].into(),
        tokens_sha256: vec![token.sha256()],
    })
    .into()
}

fn organisation(limits: Limits) -> Organisation {
    use well_known::policy::{ENGINEERING, EVERYONE, GUESTS, RECOVERY, SINGLE_SIGN_ON};
    let id = |id: &str| id.parse::<PolicyId>().unwrap();
    let policy = |name: &str, two_step| Policy { name: name.into(), two_step, factor_lives_in: None };
    let organisation = Organisation {
        id: ORGANISATION.parse().unwrap(),
        policies: BTreeMap::from([
            (id(EVERYONE), policy("Everyone", TwoStep::Mandatory)),
            (id(ENGINEERING), policy("Engineering", TwoStep::Mandatory)),
            (id(RECOVERY), policy("Recovery", TwoStep::Optional)),
            (id(SINGLE_SIGN_ON), policy("Single sign-on", TwoStep::Delegated)),
            (id(GUESTS), policy("Guests", TwoStep::Optional)),
        ]),
        recovery_policy: id(RECOVERY),
        home_policies: [id(EVERYONE), id(ENGINEERING)].into(),
        default_home: id(EVERYONE),
        tiers: Tiers::default(),
        limits,
    };
    organisation.check().unwrap();
    organisation
}
