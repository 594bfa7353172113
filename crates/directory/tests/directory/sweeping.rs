//! The replica follows the provider.

use std::time::{Duration, Instant};

use homeward_directory::Directory;
use homeward_proto::directory::v1::{AccountChange, ListAccountsRequest};
use homeward_simulator::config::RateLimit;
use homeward_simulator::well_known::{DEACTIVATED, LOST_PHONE, MIA_BERG, STORY, SUSPENDED};
use homeward_simulator::{Drift, Fault, FaultKind, SimulatorConfig};
use homeward_store::testing::{migrated, sqlite};
use homeward_store::{StoreError, on_tx, transaction};
use homeward_types::{Limits, SystemClock};

use crate::world::{Heard, Options, World, worlds};

const PAGES: &str = "GET /admin/v1/orgs/{org}/users";

fn changed(account: &str, version: i64, changes: &[AccountChange]) -> Heard {
    Heard::Changed(account.into(), version, changes.to_vec())
}

#[tokio::test]
async fn the_first_sweep_fills_the_replica_and_tells_nobody() {
    for world in worlds(&Options::default()).await {
        let sync = world.sync_when("the first sweep", |sync| sync.last_full_sync.is_some()).await;
        let managed = world.simulator.truth().summary([]).managed;
        assert_eq!((usize::try_from(sync.accounts).unwrap(), sync.unreachable_since), (managed, None));
        world.swept().await;
        assert_eq!(world.heard(), []);
        let (mut listed, mut after) = (Vec::new(), String::new());
        loop {
            let request = ListAccountsRequest { organisation: "northwind".into(), after, page_size: 100 };
            let page = world.client("recovery").list_accounts(request).await.unwrap().into_inner();
            listed.extend(page.accounts.into_iter().map(|account| account.account));
            after = page.next_after;
            if after.is_empty() {
                break;
            }
        }
        assert_eq!(listed.len(), managed);
        assert!(listed.is_sorted() && listed.contains(&STORY.id.to_owned()));
        world.stop().await;
    }
}

#[tokio::test]
async fn each_change_is_told_once_with_the_accounts_version() {
    for world in worlds(&Options::default()).await {
        world.sync_when("the first sweep", |sync| sync.last_full_sync.is_some()).await;
        world.drift(&STORY, Drift::Rename { name: "Sam O. Kafor".into() });
        world.drift(&MIA_BERG, Drift::Email { email: "mia.new@northwind.example".into() });
        world.drift(&LOST_PHONE, Drift::Deactivate {});
        world.drift(&SUSPENDED, Drift::Unclaim {});
        world.drift(&DEACTIVATED, Drift::Delete { grace: false });
        world.swept().await;
        world.drift(&LOST_PHONE, Drift::Reactivate {});
        world.swept().await;
        world.swept().await;
        let mut heard = world.heard();
        heard.sort_by_key(|heard| format!("{heard:?}"));
        let expected = [
            changed(STORY.id, 2, &[AccountChange::Renamed]),
            changed(LOST_PHONE.id, 2, &[AccountChange::Status]),
            changed(LOST_PHONE.id, 3, &[AccountChange::Status]),
            changed(MIA_BERG.id, 2, &[AccountChange::Address]),
            // The search that shows it unmanaged shows it suspended too, which no page had told.
            changed(SUSPENDED.id, 2, &[AccountChange::Status, AccountChange::Unclaimed]),
            changed(DEACTIVATED.id, 2, &[AccountChange::Gone]),
        ];
        assert_eq!(heard, expected);
        assert_eq!(world.sync().await.accounts, i64::try_from(world.simulator.truth().summary([]).managed).unwrap());
        world.stop().await;
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_goes_on_at_the_page_that_was_not_written() {
    let limits = Limits { sync: Duration::from_mins(5), ..Limits::short() };
    let options =
        Options { limits, simulator: SimulatorConfig { accounts: 950, ..SimulatorConfig::default() }, ..Options::default() };
    for database in migrated(&Directory::migrations()).await {
        let mut world = World::open(database, options.clone()).await;
        let broken = Fault { skip: 4, ..Fault::on("GET */users", FaultKind::ServerError { status: 503 }) };
        world.simulator.truth().fault(broken);
        world.start().await;
        world.sync_when("four pages and the fault", |sync| sync.accounts == 400 && sync.unreachable_since.is_some()).await;
        world.crash();
        let before = world.calls(PAGES);
        world.simulator.truth().clear_faults();
        // The claim of the process that died runs out first.
        free_the_claims(&world).await;
        world.start().await;
        let sync = world.sync_when("the sweep's end", |sync| sync.last_full_sync.is_some()).await;
        assert_eq!(usize::try_from(sync.accounts).unwrap(), world.simulator.truth().summary([]).managed);
        assert_eq!(world.calls(PAGES) - before, 6, "of ten pages four were written");
        assert_eq!(sync.unreachable_since, None);
        assert_eq!(world.heard(), []);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_place_that_the_provider_forgot_means_to_begin_again() {
    for database in migrated(&Directory::migrations()).await {
        let mut world = World::open(database, Options::default()).await;
        let sql = "INSERT INTO sweep (organisation, number, stage, page_cursor, after_account, begun_at, due_at, accounts, claimed_by, claimed_until) \
                   VALUES ('northwind', 3, 'paging', 'forgotten', '', $1, $1, 0, $2, $1)";
        let now = homeward_types::Clock::now(&SystemClock);
        transaction!(world.database, "test.forgotten", async |tx| -> Result<(), StoreError> {
            on_tx!(tx, c => sqlx::query(sql).bind(now).bind(uuid::Uuid::nil()).execute(c).await.map(drop))?;
            Ok(())
        })
        .unwrap();
        world.start().await;
        let sync = world.sync_when("a sweep", |sync| sync.last_full_sync.is_some()).await;
        assert_eq!(usize::try_from(sync.accounts).unwrap(), world.simulator.truth().summary([]).managed);
        world.stop().await;
    }
}

#[tokio::test]
async fn how_long_a_provider_is_silent_outlives_a_restart_and_a_rate_limit_is_no_silence() {
    for mut world in worlds(&Options::default()).await {
        world.swept().await;
        world.simulator.truth().set_rate_limits(RateLimit::everywhere(0));
        let unknown = ["new.joiner@northwind.example"];
        let answers = [world.find(unknown).await.unreachable_since, world.find(unknown).await.unreachable_since];
        assert!(answers.iter().any(Option::is_some), "who asks is told that the provider could not be asked");
        assert_eq!(world.sync().await.unreachable_since, None);
        world.simulator.truth().set_rate_limits(Vec::new());
        world.simulator.truth().fault(Fault::on("", FaultKind::ServerError { status: 500 }));
        world.crash();
        free_the_claims(&world).await;
        world.start().await;
        let since = world.sync_when("silence", |sync| sync.unreachable_since.is_some()).await.unreachable_since;
        world.crash();
        free_the_claims(&world).await;
        world.start().await;
        assert_eq!(world.sync().await.unreachable_since, since);
        let answer = world.find([STORY.email]).await;
        assert_eq!((answer.unreachable_since, answer.findings[0].matches.len()), (since, 1), "what is known, and since when");
        world.simulator.truth().clear_faults();
        world.sync_when("it answers again", |sync| sync.unreachable_since.is_none()).await;
        assert_eq!(world.find([STORY.email]).await.unreachable_since, None);
        world.stop().await;
    }
}

#[tokio::test]
async fn two_processes_share_the_sweeps() {
    for world in worlds(&Options::default()).await {
        world.start_another().await;
        world.sync_when("the first sweep", |sync| sync.last_full_sync.is_some()).await;
        world.drift(&STORY, Drift::Rename { name: "Sam O. Kafor".into() });
        world.swept().await;
        assert_eq!(world.heard(), [changed(STORY.id, 2, &[AccountChange::Renamed])]);
        world.stop().await;
    }
}

#[tokio::test]
async fn ten_thousand_accounts_are_read_through_in_seconds() {
    let options = Options {
        limits: Limits { sync: Duration::from_mins(5), ..Limits::short() },
        simulator: SimulatorConfig { accounts: 10_000, ..SimulatorConfig::default() },
        ..Options::default()
    };
    for database in migrated(&Directory::migrations()).await {
        let mut world = World::open(database, options.clone()).await;
        let began = Instant::now();
        world.start().await;
        let sync = world.sync_when("the first sweep", |sync| sync.last_full_sync.is_some()).await;
        assert_eq!(usize::try_from(sync.accounts).unwrap(), world.simulator.truth().summary([]).managed);
        // 100,000 must take less than a minute when built for release; this is a tenth of it, unoptimised, on a busy machine.
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
        world.stop().await;
    }
}

#[tokio::test]
async fn an_organisation_without_a_provider_does_not_start() {
    let database = sqlite().await;
    database.migrate(&Directory::migrations()).await.unwrap();
    let refused = World::without_provider(&database).await;
    assert_eq!(refused, "the organisation northwind has no provider; configure one");
}

/// As if the time of a dead process's claims were over.
async fn free_the_claims(world: &World) {
    let past = homeward_types::Clock::now(&SystemClock) - chrono::TimeDelta::hours(1);
    transaction!(world.database, "test.free", async |tx| -> Result<(), StoreError> {
        for sql in ["UPDATE sweep SET claimed_until = $1", "UPDATE watcher SET claimed_until = $1"] {
            on_tx!(tx, c => sqlx::query(sql).bind(past).execute(c).await.map(drop))?;
        }
        Ok(())
    })
    .unwrap();
}
