//! Calls are scarce: a thousand lends and returns take hardly more of them than they must.

use std::time::{Duration, Instant};

use homeward_policy::Policy;
use homeward_proto::policy::v1::LeaseNews;
use homeward_proto::words::v1 as words;
use homeward_simulator::config::RateLimit;
use homeward_simulator::well_known::policy::EVERYONE;
use homeward_simulator::{AccountTruth, Drift};
use homeward_store::testing::{self, TestDatabase};
use homeward_types::Limits;

use crate::stage::calls::{Fewest, served, since};
use crate::stage::{Plan, Stage};

const ACCOUNTS: usize = 1_000;

/// Calls that each path takes in a window. The window is a second instead of a minute, so that the test is quick.
const LIMIT: u32 = 40;

/// What is configured; see `AtlassianSettings`.
const BATCH: u64 = 100;

fn plan(batch_limit: Option<usize>) -> Plan {
    let limits = Limits {
        hard_cap_percent: 100.0,
        exposure_percent: 100.0,
        // As by default: only the provider's own delays are short here.
        patrol: Duration::from_mins(1),
        late_limit: Duration::from_mins(10),
        lease: Duration::from_mins(10),
        lease_max: Duration::from_mins(20),
        grant_valid: Duration::from_mins(5),
        ..Limits::short()
    };
    let mut plan = Plan { limits, ..Plan::default() };
    (plan.simulator.accounts, plan.simulator.stranded) = (ACCOUNTS + 100, ACCOUNTS + 25);
    plan.simulator.batch_limit = batch_limit;
    plan.simulator.rate_limits = RateLimit::everywhere(LIMIT);
    plan.simulator.rate_window = Duration::from_secs(1);
    plan
}

/// Lends all at once, then returns all at once.
async fn there_and_back(stage: &Stage, accounts: &[AccountTruth]) {
    let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
    for lease in &leases {
        stage.audience.news(*lease, LeaseNews::Lent).await;
    }
    futures_util::future::join_all(leases.iter().zip(accounts).map(|(lease, account)| stage.ask_back(*lease, account))).await;
    for lease in &leases {
        stage.audience.news(*lease, LeaseNews::Closed).await;
    }
}

/// A provider that takes so many accounts in a move, and what a thousand lends and returns take of it.
struct Measured {
    stage: Stage,
    accounts: Vec<AccountTruth>,
    fewest: Fewest,
}

impl Measured {
    async fn begin(db: TestDatabase, batch_limit: Option<usize>) -> Self {
        db.migrate(&Policy::migrations()).await.unwrap();
        let mut stage = Stage::set(db, plan(batch_limit)).await;
        stage.start_policy().await;
        stage.earn_trust().await;
        let accounts: Vec<AccountTruth> = (21..21 + ACCOUNTS).map(|n| stage.stranded(n)).collect();
        let moves = batch_limit.map_or(BATCH, |limit| BATCH.min(limit as u64));
        let fewest = Fewest { accounts: ACCOUNTS as u64, read: BATCH, search: BATCH, moves };
        println!("the provider takes {batch_limit:?} at once, and {LIMIT} calls a window on each path");
        Self { stage, accounts, fewest }
    }

    /// The calls that it took.
    async fn round(&self) -> u64 {
        let (before, began) = (served(&self.stage.truth()), Instant::now());
        there_and_back(&self.stage, &self.accounts).await;
        let calls = since(&self.stage.truth(), &before);
        let used: u64 = calls.values().sum();
        for (call, count) in &calls {
            println!("  {count:>5} {call}");
        }
        let hundredths = used * 100 / self.fewest.total();
        let (whole, part) = (hundredths / 100, hundredths % 100);
        println!("  fewest: {}; used: {used}, {whole}.{part:02} times, in {:.1?}", self.fewest, began.elapsed());
        assert!(self.accounts.iter().all(|account| self.stage.policy_of(&account.id) == EVERYONE));
        used
    }

    /// One round; whether it took at most 1.2 times the fewest calls.
    async fn hardly_more(&self) -> bool {
        self.round().await * 10 <= self.fewest.total() * 12
    }
}

/// Whether commands that come together are decided together depends on how busy the machine is, too: one of three tries must do.
/// Each begins with an adapter that has learned nothing, so that what learning costs is always counted.
async fn one_of_three(fresh: impl AsyncFn() -> TestDatabase, batch_limit: Option<usize>) {
    for _ in 0..3 {
        if Measured::begin(fresh().await, batch_limit).await.hardly_more().await {
            return;
        }
    }
    panic!("with a limit of {batch_limit:?}: never within 1.2 times the fewest calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_lends_and_returns_take_hardly_more_calls_than_they_must() {
    one_of_three(async || testing::sqlite().await, None).await;
    one_of_three(async || testing::postgres().await, None).await;
}

/// Nobody told the adapter: it learns from the refusals of the first moves, and that costs little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_the_provider_takes_fewer_at_once_than_we_think() {
    for limit in [50, 60, 99] {
        one_of_three(async || testing::sqlite().await, Some(limit)).await;
    }
}

/// What a bulk read does not mention is looked for in bulk: one search for ten accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_deleted_accounts_are_not_searched_for_one_by_one() {
    const MANY: usize = 100;
    /// See the fact sheet on the provider, 2.1.
    const IDS_A_SEARCH: usize = 10;
    for db in testing::migrated(&Policy::migrations()).await {
        let mut plan = plan(None);
        // The first look is at the next patrol, for all of them; the second one follows soon.
        plan.limits.patrol = Duration::from_secs(5);
        plan.simulator.rate_limits.clear();
        let mut stage = Stage::set(db, plan).await;
        stage.start_policy().await;
        let accounts: Vec<AccountTruth> = (1..=MANY).map(|n| stage.stranded(n)).collect();
        let leases = futures_util::future::join_all(accounts.iter().map(|account| stage.lend(account))).await;
        for lease in &leases {
            stage.audience.news(*lease, LeaseNews::Lent).await;
        }
        let before = served(&stage.truth());
        for account in &accounts {
            stage.truth().drift(&account.id, Drift::Delete { grace: false }).unwrap();
        }
        for lease in &leases {
            assert_eq!(stage.audience.news(*lease, LeaseNews::Closed).await.end(), words::LeaseEnd::Gone);
        }
        let calls = since(&stage.truth(), &before);
        let of = |path: &str| calls.iter().find(|(call, _)| call.contains(path)).map_or(0, |(_, count)| *count);
        let (reads, searches) = (of("bulk-fetch"), of("users/search"));
        println!("{MANY} deleted accounts: {reads} bulk reads, {searches} searches, {calls:?}");
        let fewest = MANY.div_ceil(IDS_A_SEARCH) as u64;
        assert!((fewest..=fewest + reads).contains(&searches), "each read may leave one search that is not full: {calls:?}");
        assert!(searches * 2 <= MANY as u64, "{calls:?}");
    }
}
