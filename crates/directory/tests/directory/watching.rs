//! Evidence of enrolment.

use std::time::{Duration, Instant};

use homeward_proto::directory::v1::{UnwatchAccount, WatchAccount};
use homeward_simulator::well_known::{LOST_PHONE, MIA_BERG, STORY, policy};
use homeward_simulator::{Drift, Fault, FaultKind, SimulatorConfig};
use homeward_types::Limits;
use uuid::Uuid;

use crate::world::{Heard, Options, World, message, worlds, worlds_of_two};

const FACTORS: &str = "users/search";

fn quiet() -> Options {
    Options {
        limits: Limits { sync: Duration::from_mins(5), re_ask: Duration::from_millis(200), ..Limits::short() },
        ..Options::default()
    }
}

fn lease(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn enrolled(enrolled: bool) -> Drift {
    Drift::Factor { enrolled, lost: false }
}

fn proofs(heard: &[Heard], of: Uuid) -> Vec<String> {
    heard
        .iter()
        .filter_map(
            |heard| if let Heard::Enrolled(lease, evidence) = heard { (*lease == of).then(|| evidence.clone()) } else { None },
        )
        .collect()
}

async fn baseline(world: &World, of: Uuid) {
    world.heard_when("the baseline", |heard| heard.contains(&Heard::Absent(of))).await;
}

async fn proof(world: &World, of: Uuid) -> String {
    let heard = world.heard_when("the proof", |heard| !proofs(heard, of).is_empty()).await;
    proofs(&heard, of).remove(0)
}

#[tokio::test]
async fn the_storys_user_is_seen_without_a_factor_and_then_with_one() {
    for world in worlds(&quiet()).await {
        world.watch(&[world.watching(lease(1), STORY.id)]).await;
        baseline(&world, lease(1)).await;
        world.drift(&STORY, enrolled(true));
        let began = Instant::now();
        let evidence = proof(&world, lease(1)).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "two reads are a factor lag apart");
        assert!(evidence.contains("absent in a read begun") && evidence.contains("enrolled in reads begun"), "{evidence}");
        assert_eq!(world.sync_when("nobody needs reads", |sync| sync.watched == 0).await.watched, 0);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_lost_factor_is_no_evidence_until_it_was_seen_to_be_gone() {
    for world in worlds(&quiet()).await {
        world.watch(&[world.watching(lease(1), LOST_PHONE.id), world.watching(lease(2), STORY.id)]).await;
        baseline(&world, lease(2)).await;
        world.drift(&STORY, enrolled(true));
        proof(&world, lease(2)).await;
        assert!(proofs(&world.heard(), lease(1)).is_empty(), "the old factor was there all the time");
        world.drift(&LOST_PHONE, enrolled(false));
        baseline(&world, lease(1)).await;
        world.drift(&LOST_PHONE, enrolled(true));
        proof(&world, lease(1)).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn who_asks_again_is_told_again_and_who_says_it_is_over_costs_no_more_reads() {
    for world in worlds(&quiet()).await {
        let command = world.watching(lease(1), STORY.id);
        world.watch(std::slice::from_ref(&command)).await;
        baseline(&world, lease(1)).await;
        let absent = |heard: &[Heard]| heard.iter().filter(|heard| **heard == Heard::Absent(lease(1))).count();
        let began = Instant::now();
        while absent(&world.heard()) < 2 {
            assert!(began.elapsed() < Duration::from_secs(20), "never told again");
            world.watch(std::slice::from_ref(&command)).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        world.drift(&STORY, enrolled(true));
        proof(&world, lease(1)).await;
        while proofs(&world.heard(), lease(1)).len() < 2 {
            assert!(began.elapsed() < Duration::from_secs(20), "the proof was never told again");
            world.watch(std::slice::from_ref(&command)).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        world.watch(&[world.watching(lease(2), MIA_BERG.id)]).await;
        world.sync_when("watched", |sync| sync.watched == 1).await;
        world.unwatch(lease(2), MIA_BERG.id).await;
        world.sync_when("over", |sync| sync.watched == 0).await;
        let before = world.calls(FACTORS);
        world.watch(&[WatchAccount { seen_out_at: command.seen_out_at, ..world.watching(lease(2), MIA_BERG.id) }]).await;
        world.watch(&[world.watching(lease(3), LOST_PHONE.id)]).await;
        world.until("others are read", || world.calls(FACTORS) > before + 2).await;
        assert_eq!(world.sync().await.watched, 1, "a late repeat does not open it again");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_watch_outlives_a_crash_with_what_was_seen() {
    for mut world in worlds(&quiet()).await {
        world.watch(&[world.watching(lease(1), STORY.id)]).await;
        baseline(&world, lease(1)).await;
        world.crash();
        world.drift(&STORY, enrolled(true));
        world.start().await;
        proof(&world, lease(1)).await;
        let absent = world.heard().iter().filter(|heard| **heard == Heard::Absent(lease(1))).count();
        assert_eq!(absent, 1, "the baseline was known");
        world.stop().await;
    }
}

#[tokio::test]
async fn of_two_processes_one_watches_and_the_other_takes_over() {
    for mut world in worlds(&quiet()).await {
        world.start_another().await;
        let people = [STORY, MIA_BERG];
        world.watch(&[world.watching(lease(1), people[0].id), world.watching(lease(2), people[1].id)]).await;
        baseline(&world, lease(1)).await;
        world.drift(&STORY, enrolled(true));
        proof(&world, lease(1)).await;
        world.drift(&MIA_BERG, enrolled(false));
        baseline(&world, lease(2)).await;
        world.crash();
        world.start().await;
        world.drift(&MIA_BERG, enrolled(true));
        proof(&world, lease(2)).await;
        let heard = world.heard();
        assert_eq!(heard.iter().filter(|heard| matches!(heard, Heard::Absent(_))).count(), 2, "{heard:?}");
        assert_eq!(proofs(&heard, lease(1)).len() + proofs(&heard, lease(2)).len(), 2, "{heard:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn the_providers_log_shows_what_happened_between_two_reads() {
    let options = Options { enrolled_action: Some("twosv_enabled_by_user"), ..quiet() };
    for world in worlds(&options).await {
        world.drift(&LOST_PHONE, Drift::Move { policy: policy::RECOVERY.into() });
        let command = world.watching(lease(1), LOST_PHONE.id);
        // Reset and enrolment come before the first read: no read ever shows the factor absent.
        world.post(&format!("/fake/admin/users/{}/reset.json", LOST_PHONE.id), "").await;
        world.post("/fake/sign-in.json", &format!(r#"{{"email":"{}"}}"#, LOST_PHONE.email)).await;
        let answer = world.post("/fake/enrol.json", &format!(r#"{{"email":"{}"}}"#, LOST_PHONE.email)).await;
        assert!(answer.contains("enrolled"), "{answer}");
        world.watch(&[command]).await;
        let evidence = proof(&world, lease(1)).await;
        assert!(evidence.starts_with("the provider's log has an enrolment at"), "{evidence}");
        assert!(!world.heard().contains(&Heard::Absent(lease(1))));
        world.stop().await;
    }
}

#[tokio::test]
async fn trouble_with_the_provider_delays_the_evidence_and_loses_nothing() {
    for world in worlds(&quiet()).await {
        for fault in Fault::chaos(0.03, Duration::from_millis(100)) {
            world.simulator.truth().fault(fault);
        }
        world.watch(&[world.watching(lease(1), STORY.id)]).await;
        baseline(&world, lease(1)).await;
        world.drift(&STORY, enrolled(true));
        proof(&world, lease(1)).await;
        world.simulator.truth().clear_faults();
        world.simulator.truth().fault(Fault::on("POST *users/search", FaultKind::ServerError { status: 500 }));
        world.watch(&[world.watching(lease(2), MIA_BERG.id)]).await;
        world.sync_when("it is known to be silent", |sync| sync.unreachable_since.is_some()).await;
        world.simulator.truth().clear_faults();
        world.drift(&MIA_BERG, enrolled(false));
        baseline(&world, lease(2)).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_understood_harms_no_other() {
    for world in worlds(&quiet()).await {
        let good = world.watching(lease(1), STORY.id);
        let nameless = WatchAccount { account: "no account id".into(), ..good.clone() };
        let foreign = WatchAccount { organisation: "southwind".into(), lease: lease(2).to_string(), ..good.clone() };
        let timeless = WatchAccount { seen_out_at: None, lease: lease(3).to_string(), ..good.clone() };
        let commands = [&nameless, &foreign, &timeless, &good];
        let mut messages: Vec<_> = commands.iter().map(|command| message("watch-account", &command.lease, *command)).collect();
        messages.push(message("forget-account", "", &UnwatchAccount::default()));
        world.send(messages).await;
        baseline(&world, lease(1)).await;
        let began = Instant::now();
        while world.dead_letters().await < 4 {
            assert!(began.elapsed() < Duration::from_secs(20), "{} dead letters", world.dead_letters().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn a_thousand_watches_are_read_in_a_few_calls_each_round() {
    const WATCHED: usize = 1_000;
    let simulator = SimulatorConfig { accounts: 1_200, stranded: WATCHED, ..SimulatorConfig::default() };
    for world in worlds(&Options { simulator, ..quiet() }).await {
        let accounts: Vec<String> = (1..=WATCHED)
            .map(|n| world.simulator.truth().by_email(&homeward_simulator::well_known::stranded_email(n)).unwrap().id)
            .collect();
        let commands: Vec<_> = (0_u128..).zip(&accounts).map(|(n, account)| world.watching(lease(n), account)).collect();
        let before = world.calls(FACTORS);
        world.watch(&commands).await;
        world.heard_when("all baselines", |heard| heard.len() >= WATCHED).await;
        for account in &accounts {
            world.simulator.truth().drift(account, enrolled(true)).unwrap();
        }
        let heard = world.heard_when("all proofs", |heard| heard.len() >= 2 * WATCHED).await;
        assert_eq!(heard.iter().filter(|heard| matches!(heard, Heard::Enrolled(..))).count(), WATCHED);
        // Each account needs a handful of reads; a hundred fit in one call.
        let calls = world.calls(FACTORS) - before;
        assert!(calls < 400, "{calls} calls for {WATCHED} accounts");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_overtakes_its_beginning_is_an_end() {
    for world in worlds(&quiet()).await {
        let overtaken = world.watching(lease(1), LOST_PHONE.id);
        world.unwatch(lease(1), LOST_PHONE.id).await;
        world.watch(&[world.watching(lease(2), MIA_BERG.id)]).await;
        world.sync_when("what came after it was taken in", |sync| sync.watched == 1).await;
        world.watch(&[overtaken, world.watching(lease(3), STORY.id)]).await;
        baseline(&world, lease(3)).await;
        assert_eq!(world.sync().await.watched, 2, "what had ended did not begin");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_take_the_same_commands_and_tell_everything() {
    let simulator = SimulatorConfig { accounts: 60, stranded: 20, ..SimulatorConfig::default() };
    for world in worlds_of_two(&Options { simulator, ..quiet() }).await {
        let account = |n| world.simulator.truth().by_email(&homeward_simulator::well_known::stranded_email(n)).unwrap().id;
        let people: Vec<String> = (1..=20).map(account).collect();
        let commands: Vec<_> = (1_u128..).zip(&people).map(|(n, account)| world.watching(lease(n), account)).collect();
        // Asked again and again, as recovery does; two processes begin the same watches at the same moment.
        for _ in 0..20 {
            world.watch(&commands).await;
        }
        for n in 1..=20 {
            baseline(&world, lease(n)).await;
        }
        for account in &people {
            world.simulator.truth().drift(account, enrolled(true)).unwrap();
        }
        for n in 1..=20 {
            proof(&world, lease(n)).await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_that_one_process_met_ends_when_another_is_answered() {
    let mut options = quiet();
    options.limits.sync = Duration::from_millis(300);
    for mut world in worlds(&options).await {
        // Whoever came first watches and sweeps; who serves has nothing to do with the provider but what it is asked.
        world.serve_by_another().await;
        world.simulator.truth().fault(Fault::on("", FaultKind::Outage));
        let since = world.find(["somebody.new@northwind.example"]).await.unreachable_since;
        assert!(since.is_some());
        world.sync_when("it is known to be silent", |sync| sync.unreachable_since.is_some()).await;
        world.simulator.truth().clear_faults();
        world.sync_when("it is known to answer", |sync| sync.unreachable_since.is_none()).await;
        world.stop().await;
    }
}
