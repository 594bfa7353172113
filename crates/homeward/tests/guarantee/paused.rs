//! A worker of the real process that stands still between its checks and its write.
//!
//! The test holds the worker at the boundary before the write while everything else in the process goes on, so that the
//! return overtakes it; then the whole process is stopped (`SIGSTOP`) for a while and goes on (`SIGCONT`) where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use homeward_proto::policy::v1::{GetLeaseRequest, Lease, LeaseState};
use homeward_proto::words::v1::LeaseEnd;
use homeward_simulator::well_known::policy::RECOVERY;
use homeward_simulator::{AccountTruth, Fact};
use homeward_types::Limits;
use homeward_world::desk::{Ballot, Desk};
use homeward_world::letters::Letter;
use homeward_world::settings::Plan;
use homeward_world::simulated::Population;
use homeward_world::{Simulated, System};

use crate::observed::name;
use crate::stage::PATIENCE;
use crate::table::Row;

/// The boundary between a lend's mark and its write.
const BOUNDARY: &str = "provider lend-move begin";
/// How long the whole process is stopped.
const STOPPED: Duration = Duration::from_secs(1);

/// It goes on while it still may send: the lend lands after the return.
pub async fn sends_after_the_return() -> Row {
    let scene = Scene::set(Duration::from_secs(30)).await;
    scene.play(Duration::ZERO).await
}

/// It goes on when its claim is over: it notices, and sends nothing.
pub async fn goes_on_too_late() -> Row {
    let claim = Duration::from_secs(5);
    let scene = Scene::set(claim).await;
    let (row, account) = (scene.play(claim).await, &scene.account.id);
    let log = scene.simulated.log(0).await.unwrap();
    assert!(!log.iter().any(|effect| effect.account == *account && effect.fact == Fact::Policy), "it sent too late");
    row
}

struct Scene {
    simulated: Simulated,
    system: System,
    account: AccountTruth,
    halts: PathBuf,
    record: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set(claim: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("homeward-paused-").tempdir().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_homeward"));
        let population = Population { accounts: 100, stranded: 4, lost_phones: 0, zero_delay: true };
        let simulated = Simulated::start(binary, folder.path(), population).unwrap();
        let limits = Limits { claim, client_timeout: claim.min(Limits::short().client_timeout), ..Limits::short() };
        let notice_claim = Duration::from_secs(30);
        let plan = Plan { provider: &simulated.provider, limits, staff_letters: true, notice_claim };
        let mut system = System::prepare(binary, folder.path(), &plan).unwrap();
        let (halts, record) = (folder.path().join("halts"), folder.path().join("boundaries"));
        std::fs::write(&halts, "").unwrap();
        system.set("HOMEWARD_BOUNDARY_FILE", record.clone());
        system.set("HOMEWARD_BOUNDARY_HALT", halts.clone());
        // One of them will stand still; the others must not miss it.
        system.set("TOKIO_WORKER_THREADS", PathBuf::from("6"));
        system.start().await.unwrap();
        system.knows_everybody().await.unwrap();
        let all = simulated.accounts().await.unwrap();
        let account = all.into_iter().find(|account| account.email.starts_with("stranded.")).unwrap();
        Self { simulated, system, account, halts, record, _folder: folder }
    }

    /// Waits `longer` after the return before the worker goes on.
    async fn play(&self, longer: Duration) -> Row {
        let desk = Desk::of(&self.system).unwrap();
        std::fs::write(&self.halts, BOUNDARY).unwrap();
        let id = desk.request(&[self.account.email.as_str()]).await.unwrap().remove(0);
        let all = std::slice::from_ref(&id);
        desk.prove(all).await.unwrap();
        desk.vote(&[Ballot { recovery: id.clone(), approve: true }]).await.unwrap();
        until("the worker stands still", async || {
            std::fs::read_to_string(&self.record).unwrap_or_default().contains(&format!("{BOUNDARY} halt"))
        })
        .await;
        let lease = self.lease(&id);
        // Before anybody asks for the return: a busy machine might show the first state too late.
        let first = lease.now().await;
        let watching = tokio::spawn(watch(self.lease(&id), first));
        desk.cancel(&id).await.unwrap();
        until("the return is done", async || lease.now().await.state() == LeaseState::Settling).await;
        tokio::time::sleep(longer).await;
        self.stop_for_a_while().await;
        let states = watching.await.unwrap();
        until("the case is closed", async || desk.recoveries(true).await.unwrap().is_empty()).await;
        let shown = desk.recoveries(false).await.unwrap().into_iter().find(|shown| shown.recovery == id).unwrap();
        let last = lease.now().await;
        let truth = self.simulated.accounts().await.unwrap().into_iter().find(|one| one.id == self.account.id).unwrap();
        assert_ne!(truth.policy.as_deref(), Some(RECOVERY), "the account stays out");
        Row {
            fault: String::new(),
            path: states.join(" → "),
            end: if last.end() == LeaseEnd::Home { "home".into() } else { last.end().as_str_name().into() },
            outcome: shown.outcome,
            told: self.told(&id),
        }
    }

    /// The whole process stands still; meanwhile the worker is set free, and goes on with the rest.
    async fn stop_for_a_while(&self) {
        let process = self.system.running().unwrap();
        process.pause().unwrap();
        std::fs::write(&self.halts, "").unwrap();
        tokio::time::sleep(STOPPED).await;
        process.go_on().unwrap();
    }

    fn lease(&self, id: &str) -> Asking {
        let [operator, _] = &self.system.tokens.approvers;
        Asking { connection: self.system.connect(operator).unwrap(), id: id.to_owned() }
    }

    fn told(&self, id: &str) -> String {
        let letters = std::fs::read_dir(self.system.outbox()).unwrap();
        let letters = letters.filter_map(|entry| Letter::of(&entry.unwrap().file_name().to_string_lossy()));
        let closed: BTreeSet<String> =
            letters.filter(|letter| letter.recovery == *id && letter.kind == "closed").map(|letter| letter.to).collect();
        let roles = [("owner", "owner"), ("hana", "requester"), ("tom", "approver")];
        roles.iter().filter(|(to, _)| closed.contains(*to)).map(|(_, role)| *role).collect::<Vec<_>>().join(", ")
    }
}

/// Somebody who asks for one lease.
struct Asking {
    connection: homeward_world::system::Connection,
    id: String,
}

impl Asking {
    async fn now(&self) -> Lease {
        let request = GetLeaseRequest { lease: self.id.clone() };
        self.connection.policy().get_lease(request).await.unwrap().into_inner().lease.unwrap()
    }
}

/// The states that a lease goes through from the first on, as whoever asks all the time sees them.
async fn watch(lease: Asking, first: Lease) -> Vec<&'static str> {
    let mut seen: BTreeMap<i64, &'static str> = BTreeMap::from([(first.version, name(first.state()))]);
    let began = Instant::now();
    loop {
        let now = lease.now().await;
        seen.insert(now.version, name(now.state()));
        if now.state() == LeaseState::Closed {
            let mut states: Vec<&str> = seen.into_values().collect();
            states.dedup();
            return states;
        }
        assert!(began.elapsed() < PATIENCE, "the lease is not closed: {now:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
