//! The emergency stop and the way home by hand, from the command line against the real process: `homeward drain` and
//! `homeward return-now` for one, for a filter, for all.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use homeward_chassis::auth::Bearer;
use homeward_proto::policy::v1::{GetExposureRequest, LeaseState, ListLeasesRequest};
use homeward_proto::recovery::v1::Recovery;
use homeward_simulator::{AccountTruth, Fault, FaultKind};
use homeward_types::Limits;
use homeward_world::desk::{Ballot, Desk};
use homeward_world::settings::{ORGANISATION, Plan};
use homeward_world::simulated::Population;
use homeward_world::{Simulated, System};

use crate::stage::PATIENCE;

/// The real process with people who can be lent.
struct World {
    simulated: Simulated,
    system: System,
    people: Vec<AccountTruth>,
    address: String,
    _folder: tempfile::TempDir,
}

impl World {
    async fn begin(limits: Limits) -> Self {
        let folder = tempfile::Builder::new().prefix("homeward-emergency-").tempdir().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_homeward"));
        let population = Population { accounts: 60, stranded: 12, lost_phones: 0, zero_delay: true };
        let simulated = Simulated::start(binary, folder.path(), population).unwrap();
        let limits = Limits { exposure_percent: 50.0, hard_cap_percent: 50.0, ..limits };
        let notice_claim = Duration::from_secs(30);
        let plan = Plan { provider: &simulated.provider, limits, staff_letters: true, notice_claim };
        let mut system = System::prepare(binary, folder.path(), &plan).unwrap();
        system.start().await.unwrap();
        system.knows_everybody().await.unwrap();
        let mut people = simulated.accounts().await.unwrap();
        people.retain(|account| account.email.starts_with("stranded."));
        let settings = std::fs::read_to_string(folder.path().join("homeward.toml")).unwrap();
        let settings: toml::Table = toml::from_str(&settings).unwrap();
        let address = format!("http://{}", settings["listen"]["grpc"]["address"].as_str().unwrap());
        Self { simulated, system, people, address, _folder: folder }
    }

    fn desk(&self) -> Desk {
        Desk::of(&self.system).unwrap().insisting()
    }

    /// Asks for these people, and has it approved.
    async fn ask(&self, people: &[AccountTruth]) -> Vec<String> {
        let emails: Vec<&str> = people.iter().map(|account| account.email.as_str()).collect();
        let (desk, began) = (self.desk(), Instant::now());
        let ids = desk.request(&emails).await.unwrap();
        desk.prove(&ids).await.unwrap();
        let ballots: Vec<Ballot> = ids.iter().map(|id| Ballot { recovery: id.clone(), approve: true }).collect();
        desk.vote(&ballots).await.unwrap();
        assert!(began.elapsed() < PATIENCE);
        ids
    }

    async fn lend(&self, people: &[AccountTruth]) -> Vec<String> {
        let ids = self.ask(people).await;
        until("all of them are out", async || self.in_state(LeaseState::Active).await >= ids.len()).await;
        ids
    }

    /// How many open leases are in a state.
    async fn in_state(&self, state: LeaseState) -> usize {
        let [operator, _] = &self.system.tokens.approvers;
        let request =
            ListLeasesRequest { organisation: ORGANISATION.into(), open_only: true, page_size: 1_000, ..Default::default() };
        let leases = self.system.connect(operator).unwrap().policy().list_leases(request).await.unwrap().into_inner().leases;
        leases.iter().filter(|lease| lease.state() == state).count()
    }

    async fn shown(&self, id: &str) -> Recovery {
        let all = self.desk().recoveries(false).await.unwrap();
        all.into_iter().find(|shown| shown.recovery == id).unwrap()
    }

    async fn is_over(&self, id: &str) -> Recovery {
        until("the case is closed", async || self.shown(id).await.closed_at.is_some()).await;
        self.shown(id).await
    }

    /// Runs a command in somebody's name: whether it succeeded, and what it said.
    fn run(&self, by: &Bearer, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeward"));
        command.args(words).env("HOMEWARD_SERVER", &self.address).env("HOMEWARD_TOKEN", by.reveal());
        let output = command.env("HOMEWARD_ORGANISATION", ORGANISATION).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    }

    async fn is_draining(&self) -> bool {
        let [operator, _] = &self.system.tokens.approvers;
        let request = GetExposureRequest { organisation: ORGANISATION.into() };
        self.system.connect(operator).unwrap().policy().get_exposure(request).await.unwrap().into_inner().draining
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_refuses_lends_lets_returns_go_on_and_survives_a_restart() {
    let mut world = World::begin(Limits::short()).await;
    let people = world.people.clone();
    let out = world.lend(&people[..2]).await;
    let (requester, operator) = (world.system.tokens.requester.clone(), world.system.tokens.approvers[0].clone());
    let (done, said) = world.run(&requester, &["drain", "--reason", "who is this?"]);
    assert!(!done, "only an operator may: {said}");
    let (done, said) = world.run(&operator, &["drain", "--reason", "something is wrong"]);
    assert!(done && said.contains("returns go on"), "{said}");
    for restarted in [false, true] {
        if restarted {
            world.system.process().unwrap().kill().unwrap();
            world.system.start().await.unwrap();
        }
        assert!(world.is_draining().await, "restarted: {restarted}");
        let n = usize::from(restarted);
        let refused = world.ask(&people[2 + n..3 + n]).await.remove(0);
        let shown = world.is_over(&refused).await;
        assert_eq!(shown.outcome, "not_lent");
        assert!(shown.outcome_sentence.contains("draining"), "the reason is told: {}", shown.outcome_sentence);
        // Returns go on.
        let (done, said) = world.run(&requester, &["return-now", &out[n], "--reason", "found the phone"]);
        assert!(done, "{said}");
        assert_eq!(world.is_over(&out[n]).await.lease_end().as_str_name(), "LEASE_END_HOME");
    }
    let (done, said) = world.run(&operator, &["drain", "--end", "--reason", "it was nothing"]);
    assert!(done && said.contains("lending again"), "{said}");
    world.lend(&people[5..6]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_or_some_or_all_are_returned_at_once() {
    let limits = Limits { lease: Duration::from_secs(20), ..Limits::short() };
    let world = World::begin(limits).await;
    let out = world.lend(&world.people[..8]).await;
    let (requester, operator) = (world.system.tokens.requester.clone(), world.system.tokens.approvers[0].clone());
    // One, and some by name: any known person may.
    let (done, said) = world.run(&requester, &["return-now", &out[0], "--reason", "found the phone"]);
    assert!(done && said.contains("closing"), "{said}");
    let (done, said) = world.run(&requester, &["return-now", &out[1], &out[2], "--reason", "found them"]);
    assert!(done && said.matches("closing").count() == 2, "{said}");
    for id in &out[..3] {
        world.is_over(id).await;
    }
    assert_eq!(world.in_state(LeaseState::Active).await, 5);
    // All that are overdue: none yet.
    let (done, said) = world.run(&requester, &["return-now", "--all", ORGANISATION, "--overdue", "--reason", "clean up"]);
    assert!(!done, "only an operator may ask for many: {said}");
    let (done, said) = world.run(&operator, &["return-now", "--all", ORGANISATION, "--overdue", "--reason", "clean up"]);
    assert!(done && said.contains("0 lease(s)"), "{said}");
    assert_eq!(world.in_state(LeaseState::Active).await, 5);
    // All of them.
    world.simulated.set_faults(&[Fault::on("", FaultKind::Slow { by_ms: 20 })]).await.unwrap();
    let (done, said) = world.run(&operator, &["return-now", "--all", ORGANISATION, "--reason", "an exercise"]);
    assert!(done && said.contains("5 lease(s)"), "{said}");
    for id in &out {
        assert_eq!(world.is_over(id).await.lease_end().as_str_name(), "LEASE_END_HOME");
    }
    let (done, said) = world.run(&operator, &["incidents"]);
    assert!(done && said.contains("returning_many"), "it is announced: {said}");
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
