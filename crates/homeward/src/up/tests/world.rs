//! Homeward as `up` composes it, the simulated organisation over HTTP, and the people who act. Both live by one clock that
//! goes on like the machine's and can be stepped.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt};
use homeward_chassis::rpc::Peer;
use homeward_proto::directory::v1::GetSyncRequest;
use homeward_proto::policy::v1::{GetExposureRequest, GetExposureResponse, ListLeasesRequest};
use homeward_proto::recovery::v1::ListRecoveriesRequest;
use homeward_simulator::well_known::{self, policy::RECOVERY};
use homeward_simulator::{Effect, Fact, Running, Simulator, SimulatorConfig, Truth};
use homeward_types::{Clock, Limits, SystemClock, Timestamp};
use homeward_world::desk::{BULK, Ballot, Desk};
use homeward_world::process::free_ports;
use homeward_world::settings::{self, ORGANISATION, Plan, Tokens};
use homeward_world::system::Connection;
use tempfile::TempDir;

use crate::settings::Settings;
use crate::up::{Doors, System};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Bulks of requests at once.
const AT_ONCE: usize = 4;

/// The machine's clock, so far ahead as a test has stepped it.
#[derive(Debug, Default)]
pub struct Stepped(AtomicI64);

impl Stepped {
    /// Steps forward.
    pub fn step(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        SystemClock.now() + TimeDelta::microseconds(self.0.load(Ordering::SeqCst))
    }
}

/// Everything.
pub struct World {
    pub clock: Arc<Stepped>,
    pub simulator: Running,
    pub desk: Desk,
    system: System,
    operator: Connection,
    _folders: [TempDir; 2],
}

impl World {
    /// Homeward runs and knows everybody, `stranded` of whom are in the login loop.
    pub async fn begin(stranded: usize, limits: Limits) -> Self {
        let named = |place: &Path| tempfile::Builder::new().prefix("homeward-outage-").tempdir_in(place).unwrap();
        let folder = named(&std::env::temp_dir());
        // Tens of thousands of letters: on a disk it takes longer to delete them than to write them.
        let letters = if Path::new(MEMORY).is_dir() { named(Path::new(MEMORY)) } else { named(&std::env::temp_dir()) };
        let clock = Arc::new(Stepped::default());
        let config = SimulatorConfig { accounts: stranded + 50, stranded, clock: clock.clone(), ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let plan = Plan { provider: &simulator.provider_url, limits, staff_letters: false, notice_claim: Duration::from_mins(1) };
        let (tokens, file) = (Tokens::generate().unwrap(), folder.path().join("homeward.toml"));
        settings::write(&file, &folder.path().join("data"), &plan, &tokens, free_ports::<2>().unwrap()).unwrap();
        let mut settings = Settings::load(&file).unwrap();
        settings.notification.outbox = letters.path().to_owned();
        let doors = Doors::open(&settings.listen).await.unwrap();
        let system = System::start_with(&settings, doors, None, clock.clone()).await.unwrap();
        let peer = Peer::plaintext(format!("http://{}", system.grpc()));
        let connect = |token| Connection::new(peer.client().unwrap().bearing(token));
        let [operator, _] = &tokens.approvers;
        let desk = Desk::at(vec![(connect(&tokens.requester), connect(operator))]).unwrap().insisting();
        let world = Self { operator: connect(operator), clock, simulator, desk, system, _folders: [folder, letters] };
        world.until("everybody is known", async || world.is_known().await).await;
        world
    }

    async fn is_known(&self) -> bool {
        let sync = self.operator.directory().get_sync(GetSyncRequest { organisation: ORGANISATION.into() }).await;
        sync.is_ok_and(|sync| sync.get_ref().last_full_sync.is_some()) && self.exposure().await.hard_cap > 1
    }

    /// What is true at the provider.
    pub fn truth(&self) -> Truth {
        self.simulator.truth()
    }

    /// Asks for the stranded people of these numbers, and proves it. Gives their cases, in order.
    pub async fn ask(&self, people: Range<usize>) -> Vec<String> {
        let emails: Vec<String> = people.map(|n| well_known::stranded_email(n + 1)).collect();
        let bulks = futures_util::stream::iter(emails.chunks(BULK)).map(async |bulk| {
            let emails: Vec<&str> = bulk.iter().map(String::as_str).collect();
            let ids = self.desk.request(&emails).await?;
            self.desk.prove(&ids).await?;
            anyhow::Ok(ids)
        });
        let asked: Vec<Vec<String>> = bulks.buffered(AT_ONCE).try_collect().await.unwrap();
        asked.concat()
    }

    /// Has these cases approved.
    pub async fn approve(&self, cases: &[String]) {
        let bulks = futures_util::stream::iter(cases.chunks(BULK)).map(async |bulk| {
            let ballots: Vec<Ballot> = bulk.iter().map(|id| Ballot { recovery: id.clone(), approve: true }).collect();
            self.desk.vote(&ballots).await
        });
        bulks.buffer_unordered(AT_ONCE).try_collect::<()>().await.unwrap();
    }

    /// What policy says of the organisation.
    pub async fn exposure(&self) -> GetExposureResponse {
        let request = GetExposureRequest { organisation: ORGANISATION.into() };
        self.operator.policy().get_exposure(request).await.unwrap().into_inner()
    }

    /// The newest open leases.
    pub async fn open_leases(&self, many: usize) -> Vec<String> {
        let page_size = i32::try_from(many).unwrap();
        let request = ListLeasesRequest { organisation: ORGANISATION.into(), open_only: true, page_size, ..Default::default() };
        let leases = self.operator.policy().list_leases(request).await.unwrap().into_inner().leases;
        leases.into_iter().map(|lease| lease.lease).collect()
    }

    /// Whether a case is open.
    pub async fn has_open_cases(&self) -> bool {
        let request =
            ListRecoveriesRequest { organisation: ORGANISATION.into(), open_only: true, page_size: 1, ..Default::default() };
        !self.operator.recovery().list_recoveries(request).await.unwrap().into_inner().recoveries.is_empty()
    }

    /// Every change of a policy at the provider after the line `since`, in order.
    pub fn moves(&self, since: u64) -> Vec<Effect> {
        let mut all: Vec<Effect> = Vec::new();
        loop {
            let page = self.truth().log(all.last().map_or(since, |effect| effect.number));
            if page.is_empty() {
                return all.into_iter().filter(|effect| effect.fact == Fact::Policy).collect();
            }
            all.extend(page);
        }
    }

    /// The newest line of the provider's own log.
    pub fn newest(&self) -> u64 {
        self.moves(0).last().map_or(0, |effect| effect.number)
    }

    /// Who is in the recovery policy.
    pub fn out(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for effect in self.moves(0) {
            if effect.to.as_deref() == Some(RECOVERY) {
                out.insert(effect.account);
            } else {
                out.remove(&effect.account);
            }
        }
        out
    }

    /// How often the provider was called so, with such a status.
    pub fn calls(&self, part: &str, statuses: &[u16]) -> u64 {
        let calls = self.truth().calls();
        calls.iter().filter(|call| call.call.contains(part) && statuses.contains(&call.status)).map(|call| call.count).sum()
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !condition().await {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops Homeward in good order. The provider simply goes: it would wait for the connections that are kept open to it.
    pub async fn end(self) {
        self.system.finish().await.unwrap();
    }
}
