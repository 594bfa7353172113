//! Every kind of fault does what it says, meets whom it names, and is counted: a test in which nothing broke can fail.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use homeward_simulator::well_known::{LOST_PHONE, MIA_BERG, ORGANISATION, OTHER_MIA_BERG, STORY, key, policy};
use homeward_simulator::{Drift, Fault, FaultKind, Lateness, Says, SimulatorConfig};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{World, still};

async fn try_move(world: &World, email: &str) -> reqwest::Result<Response> {
    let body = json!({ "users": [email] });
    world.send(key::UNSCOPED, Method::POST, &World::add_users_path(policy::RECOVERY), Some(body)).await
}

fn is_out(world: &World, id: &str) -> bool {
    world.truth().account(id).unwrap().policy.as_deref() == Some(policy::RECOVERY)
}

fn fired(world: &World) -> u64 {
    world.truth().faults().iter().map(|state| state.fired).sum()
}

#[tokio::test]
async fn a_connection_can_be_cut_before_and_after_the_effect() {
    for (what, effect) in [(FaultKind::CutBefore, false), (FaultKind::Outage, false), (FaultKind::CutAfter, true)] {
        let world = World::start().await;
        world.truth().fault(Fault::on("add-users", what.clone()).times(1));
        let error = try_move(&world, STORY.email).await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{what:?}: the request was sent and nothing came back: {error:?}");
        assert_eq!(is_out(&world, STORY.id), effect, "{what:?}");
        assert_eq!(fired(&world), 1);
        let cut = world.truth().calls().into_iter().find(|count| count.call.ends_with("add-users")).unwrap();
        assert_eq!((cut.status, cut.count), (0, 1), "counted as a call without an answer");
        assert_eq!(try_move(&world, LOST_PHONE.email).await.unwrap().status(), 202, "spent");
    }
}

#[tokio::test]
async fn an_effect_can_come_without_an_answer_in_time() {
    let world = World::start().await;
    world.truth().fault(Fault::on("add-users", FaultKind::AppliedTimedOut { after_ms: 60_000 }));
    let waiting = std::pin::pin!(try_move(&world, STORY.email));
    let seen_out = async {
        while !is_out(&world, STORY.id) {
            tokio::task::yield_now().await;
        }
    };
    let limit = tokio::time::timeout(Duration::from_secs(20), seen_out);
    tokio::select! {
        answer = waiting => panic!("an answer came: {answer:?}"),
        seen = limit => seen.expect("the effect comes"),
    }
}

#[tokio::test]
async fn an_accepted_move_may_never_take_effect_whatever_its_task_says() {
    for (says, in_progress, success) in [(Says::Running, 1, 0), (Says::Success, 0, 1)] {
        let quirks = homeward_simulator::config::Quirks {
            first_counters: homeward_simulator::config::FirstCounters::Running,
            ..Default::default()
        };
        let (world, clock) = still(SimulatorConfig { quirks, ..SimulatorConfig::default() }).await;
        world.truth().fault(Fault::on("add-users", FaultKind::NeverApplied { says }));
        let task = world.move_to(policy::RECOVERY, &[STORY.email]).await;
        clock.advance(TimeDelta::minutes(30));
        let view = world.task(&task).await;
        assert_eq!((&view["inProgressCount"], &view["successCount"]), (&json!(in_progress), &json!(success)));
        assert!(!is_out(&world, STORY.id) && world.truth().log(0).is_empty());
    }
}

#[tokio::test]
async fn an_accepted_move_may_take_effect_late() {
    for says in [Says::Running, Says::Success] {
        let (world, clock) = still(SimulatorConfig::default()).await;
        world.truth().fault(Fault::on("add-users", FaultKind::AppliedLate { by_ms: 600_000, says }));
        let task = world.move_to(policy::RECOVERY, &[STORY.email]).await;
        clock.advance(TimeDelta::milliseconds(599_999));
        assert!(!is_out(&world, STORY.id));
        assert_eq!(world.task(&task).await["successCount"], u64::from(says == Says::Success));
        clock.advance(TimeDelta::milliseconds(1));
        assert!(is_out(&world, STORY.id));
    }
}

#[tokio::test]
async fn a_batch_can_fail_in_part() {
    let world = World::start().await;
    world.truth().fault(Fault::on("add-users", FaultKind::PartialBatch { only: Vec::new() }).times(1));
    let users = [STORY.email, LOST_PHONE.email, MIA_BERG.email];
    let task = world.task(&world.move_to(policy::RECOVERY, &users).await).await;
    assert_eq!(task["failureReasons"][0]["emails"], json!([STORY.email, MIA_BERG.email]));
    assert_eq!([STORY, LOST_PHONE, MIA_BERG].map(|person| is_out(&world, person.id)), [false, true, false]);

    world.truth().fault(Fault::on("add-users", FaultKind::PartialBatch { only: vec![MIA_BERG.id.into()] }));
    let task = world.task(&world.move_to(policy::RECOVERY, &users).await).await;
    assert_eq!(task["failureReasons"][0]["emails"], json!([MIA_BERG.email]));
    assert!(is_out(&world, STORY.id) && !is_out(&world, MIA_BERG.id));
}

#[tokio::test]
async fn a_read_can_show_the_past() {
    let (world, clock) = still(SimulatorConfig::default()).await;
    clock.advance(TimeDelta::seconds(60));
    world.move_to(policy::RECOVERY, &[STORY.email]).await;
    clock.advance(TimeDelta::seconds(5));
    world.truth().fault(Fault::on("bulk-fetch", FaultKind::StaleRead { by_ms: 6_000 }).times(1));
    assert_eq!(world.placement(STORY.id).await["authPolicyInfo"]["policyId"], policy::EVERYONE);
    assert_eq!(world.placement(STORY.id).await["authPolicyInfo"]["policyId"], policy::RECOVERY);

    world.truth().drift(STORY.id, Drift::Factor { enrolled: true, lost: false }).unwrap();
    clock.advance(TimeDelta::seconds(5));
    world.truth().fault(Fault::on("users/search", FaultKind::StaleRead { by_ms: 6_000 }).times(1));
    assert_eq!(world.find(STORY.email).await["mfaEnabled"], false);
    assert_eq!(world.find(STORY.email).await["mfaEnabled"], true);
}

#[tokio::test]
async fn a_stale_search_finds_by_the_former_address() {
    let (world, clock) = still(SimulatorConfig::default()).await;
    clock.advance(TimeDelta::seconds(60));
    world.truth().drift(MIA_BERG.id, Drift::SwapEmail { with: OTHER_MIA_BERG.id.into() }).unwrap();
    clock.advance(TimeDelta::seconds(5));
    world.truth().fault(Fault::on("users/search", FaultKind::StaleRead { by_ms: 6_000 }).times(1));
    assert_eq!(world.find(MIA_BERG.email).await["accountId"], MIA_BERG.id);
    assert_eq!(world.find(MIA_BERG.email).await["accountId"], OTHER_MIA_BERG.id);
}

#[tokio::test]
async fn an_account_can_change_between_the_last_read_and_the_call() {
    let world = World::start().await;
    let drift = Drift::SwapEmail { with: OTHER_MIA_BERG.id.into() };
    world.truth().fault(Fault::on("add-users", FaultKind::Meanwhile { account: MIA_BERG.id.into(), drift }).times(1));
    world.move_to(policy::RECOVERY, &[MIA_BERG.email]).await;
    assert!(is_out(&world, OTHER_MIA_BERG.id) && !is_out(&world, MIA_BERG.id));
    assert_eq!(fired(&world), 1);
}

#[tokio::test]
async fn answers_can_be_something_else_than_documented() {
    let world = World::start().await;
    let path = format!("/admin/v1/orgs/{ORGANISATION}/domains");
    let answer = async |what: FaultKind| {
        world.truth().fault(Fault::on("domains", what).times(1));
        let response = world.call(Method::GET, &path, None).await;
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), kind, response.text().await.unwrap())
    };
    let (status, _, text) = answer(FaultKind::WrongShape { status: 403 }).await;
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, body["error"].as_str(), body["path"].as_str()), (403, Some("Forbidden"), Some(path.as_str())));
    let (status, _, text) = answer(FaultKind::EmptyBody { status: 503 }).await;
    assert_eq!((status, text.as_str()), (503, ""));
    let (status, kind, text) = answer(FaultKind::Html { status: 200 }).await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    assert!(text.starts_with("<!DOCTYPE html>"));
    let (status, kind, text) = answer(FaultKind::TruncatedJson).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err());
    let (status, _, _) = answer(FaultKind::RevokedKey).await;
    assert_eq!(status, 401);
    assert_eq!(fired(&world), 5);
}

#[tokio::test]
async fn an_answer_can_be_slow() {
    let world = World::start().await;
    world.truth().fault(Fault::on("", FaultKind::Slow { by_ms: 150 }).times(1));
    let begun = Instant::now();
    world.get("/admin/v1/orgs").await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn an_outage_has_a_beginning_and_an_end() {
    let (world, clock) = still(SimulatorConfig::default()).await;
    world.truth().fault(Fault { from_ms: 1_000, ..Fault::on("", FaultKind::Outage).lasting(Duration::from_secs(10)) });
    let up = async || world.send(key::UNSCOPED, Method::GET, "/admin/v1/orgs", None).await.is_ok();
    assert!(up().await);
    clock.advance(TimeDelta::seconds(1));
    assert!(!up().await);
    clock.advance(TimeDelta::milliseconds(9_999));
    assert!(!up().await);
    clock.advance(TimeDelta::milliseconds(1));
    assert!(up().await);
}

#[tokio::test]
async fn a_fault_meets_only_the_account_key_and_call_it_names() {
    let world = World::start().await;
    let fault = Fault { key: Some("scoped".into()), ..Fault::on("GET *manage", FaultKind::RevokedKey) };
    world.truth().fault(fault);
    world.truth().fault(Fault::on("*", FaultKind::ServerError { status: 500 }).for_account(STORY.email));
    let manage = |id: &str| format!("/users/{}/manage", id.replace(':', "%3A"));
    assert_eq!(world.call(Method::GET, &manage(STORY.id), None).await.status(), 500, "by id in the path");
    assert_eq!(try_move(&world, STORY.email).await.unwrap().status(), 500, "by address in the body");
    assert_eq!(world.call(Method::GET, &manage(LOST_PHONE.id), None).await.status(), 200);
    assert_eq!(try_move(&world, LOST_PHONE.email).await.unwrap().status(), 202);
    assert_eq!(world.send(key::SCOPED, Method::GET, &manage(LOST_PHONE.id), None).await.unwrap().status(), 401);
    assert_eq!(world.truth().faults().iter().map(|state| state.fired).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(world.truth().clear_faults(), 2);
    assert_eq!(world.call(Method::GET, &manage(STORY.id), None).await.status(), 200);
}

#[tokio::test]
async fn a_fault_can_let_the_first_ones_pass() {
    let world = World::start().await;
    world.truth().fault(Fault { skip: 2, count: Some(1), ..Fault::on("orgs", FaultKind::ServerError { status: 503 }) });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(world.call(Method::GET, "/admin/v1/orgs", None).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 200, 200]);
}

#[tokio::test]
async fn chaos_is_the_same_for_the_same_seed_and_every_kind_of_it_fires() {
    let play = async |seed: u64| {
        let faults = Fault::chaos(0.1, Duration::from_millis(20));
        let lateness = Lateness::none();
        let (world, _clock) = still(SimulatorConfig { seed, faults, lateness, ..SimulatorConfig::default() }).await;
        for turn in 0..300 {
            let _ = match turn % 3 {
                0 => try_move(&world, STORY.email).await,
                1 => {
                    let path = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
                    world.send(key::UNSCOPED, Method::POST, &path, Some(json!({ "accountIds": [STORY.id] }))).await
                }
                _ => {
                    world.send(key::UNSCOPED, Method::POST, &World::search_path(), Some(json!({ "emails": [STORY.email] }))).await
                }
            };
        }
        world.truth().faults().iter().map(|state| state.fired).collect::<Vec<_>>()
    };
    let fired = play(3).await;
    assert!(fired.iter().all(|count| *count > 0), "{fired:?}");
    assert_eq!(fired, play(3).await);
    assert_ne!(fired, play(4).await);
}
