//! Moves: by address, in batches, each with its own result, and read back through counters that have no state.

use chrono::TimeDelta;
use homeward_simulator::config::{AlreadyMember, BadAddress, Deactivated, FirstCounters, Quirks, Resolve, UnknownIds, Versions};
use homeward_simulator::well_known::{
    DEACTIVATED, GUEST, LOST_PHONE, MIA_BERG, OTHER_MIA_BERG, SINGLE_SIGN_ON, STORY, SUSPENDED, UNMANAGED, policy,
};
use homeward_simulator::{Drift, Lateness, SimulatorConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, still};

fn with(quirks: Quirks) -> SimulatorConfig {
    SimulatorConfig { quirks, ..SimulatorConfig::default() }
}

fn policy_of(world: &World, id: &str) -> String {
    world.truth().account(id).unwrap().policy.unwrap()
}

#[tokio::test]
async fn each_user_of_a_batch_has_its_own_result() {
    let world = World::start().await;
    let users =
        [STORY.email, "nobody@northwind.example", UNMANAGED.email, SUSPENDED.email, SINGLE_SIGN_ON.email, DEACTIVATED.email];
    let task = world.task(&world.move_to(policy::RECOVERY, &users).await).await;
    assert_eq!((&task["inProgressCount"], &task["successCount"], &task["failureCount"]), (&json!(0), &json!(4), &json!(2)));
    let reasons = task["failureReasons"].as_array().unwrap();
    let failed: Vec<(&Value, u64)> =
        reasons.iter().map(|reason| (&reason["emails"], reason["details"]["status"].as_u64().unwrap())).collect();
    assert_eq!(failed, [(&json!(["nobody@northwind.example"]), 404), (&json!([UNMANAGED.email]), 400)]);
    for moved in [STORY, SUSPENDED, SINGLE_SIGN_ON, DEACTIVATED] {
        assert_eq!(policy_of(&world, moved.id), policy::RECOVERY);
    }
    assert_eq!(world.truth().account(UNMANAGED.id).unwrap().policy, None);
}

#[tokio::test]
async fn a_batch_beyond_the_limit_is_refused_whole() {
    let world = World::with(SimulatorConfig { batch_limit: Some(2), ..SimulatorConfig::default() }).await;
    let path = World::add_users_path(policy::RECOVERY);
    let body = json!({ "users": [STORY.email, LOST_PHONE.email, MIA_BERG.email] });
    let refused = world.call(Method::POST, &path, Some(body)).await;
    assert_eq!(refused.status(), 400);
    assert!(world.truth().log(0).is_empty());
    world.move_to(policy::RECOVERY, &[STORY.email, LOST_PHONE.email]).await;
    assert_eq!(world.truth().log(0).len(), 2);
}

#[tokio::test]
async fn a_bad_address_fails_alone_or_rejects_the_batch() {
    let path = World::add_users_path(policy::RECOVERY);
    let world = World::start().await;
    let malformed = json!({ "users": [STORY.email, "not an address"] });
    assert_eq!(world.call(Method::POST, &path, Some(malformed)).await.status(), 400, "malformed is always refused");
    let strict = World::with(with(Quirks { bad_address: BadAddress::RejectsBatch, ..Quirks::default() })).await;
    let unknown = json!({ "users": [STORY.email, "nobody@northwind.example"] });
    assert_eq!(strict.call(Method::POST, &path, Some(unknown)).await.status(), 400);
    assert!(strict.truth().log(0).is_empty(), "nothing moved");
    strict.move_to(policy::RECOVERY, &[STORY.email]).await;
    assert_eq!(policy_of(&strict, STORY.id), policy::RECOVERY);
}

#[tokio::test]
async fn adding_a_member_again_changes_nothing_and_counts_either_way() {
    for (already_member, success, failure) in [(AlreadyMember::Success, 1, 0), (AlreadyMember::Failure, 0, 1)] {
        let world = World::with(with(Quirks { already_member, ..Quirks::default() })).await;
        let before = world.placement(STORY.id).await;
        let task = world.task(&world.move_to(policy::EVERYONE, &[STORY.email]).await).await;
        assert_eq!((&task["successCount"], &task["failureCount"]), (&json!(success), &json!(failure)));
        assert_eq!(world.placement(STORY.id).await, before, "dateAdded included");
        assert!(world.truth().log(0).is_empty());
    }
}

#[tokio::test]
async fn a_deactivated_account_can_or_cannot_be_moved() {
    for (deactivated, moved) in [(Deactivated::CanMove, true), (Deactivated::CannotMove, false)] {
        let world = World::with(with(Quirks { deactivated, ..Quirks::default() })).await;
        let task = world.task(&world.move_to(policy::RECOVERY, &[DEACTIVATED.email]).await).await;
        assert_eq!(task["successCount"], u64::from(moved));
        assert_eq!(policy_of(&world, DEACTIVATED.id) == policy::RECOVERY, moved);
    }
}

#[tokio::test]
async fn the_version_is_fresh_kept_or_absent() {
    for versions in [Versions::Fresh, Versions::KeptOnReAdd, Versions::Absent] {
        let world = World::with(SimulatorConfig { versions, ..SimulatorConfig::default() }).await;
        let version = async || world.placement(GUEST.id).await["authPolicyInfo"]["dateAdded"].as_i64();
        let home = version().await;
        world.move_to(policy::RECOVERY, &[GUEST.email]).await;
        let out = version().await;
        world.move_to(policy::GUESTS, &[GUEST.email]).await;
        let back = version().await;
        match versions {
            Versions::Fresh => assert!(home < out && out < back, "{home:?} {out:?} {back:?}"),
            Versions::KeptOnReAdd => assert!(home < out && back == home, "{home:?} {out:?} {back:?}"),
            Versions::Absent => assert_eq!((home, out, back), (None, None, None)),
        }
    }
}

#[tokio::test]
async fn addresses_swapped_before_the_effect_move_whoever_holds_them_then() {
    let second = std::time::Duration::from_secs(1);
    let lateness = Lateness { task_delay: (second, second), ..Lateness::none() };
    for (resolve, moved) in [(Resolve::AtEffect, OTHER_MIA_BERG), (Resolve::AtRequest, MIA_BERG)] {
        let quirks = Quirks { resolve, ..Quirks::default() };
        let (world, clock) = still(SimulatorConfig { lateness, quirks, ..SimulatorConfig::default() }).await;
        world.move_to(policy::RECOVERY, &[MIA_BERG.email]).await;
        world.truth().drift(MIA_BERG.id, Drift::SwapEmail { with: OTHER_MIA_BERG.id.into() }).unwrap();
        clock.advance(TimeDelta::seconds(1));
        let out: Vec<String> = [MIA_BERG, OTHER_MIA_BERG].map(|mia| policy_of(&world, mia.id)).into();
        assert_eq!(out.iter().filter(|id| *id == policy::RECOVERY).count(), 1);
        assert_eq!(policy_of(&world, moved.id), policy::RECOVERY, "{resolve:?}");
    }
}

#[tokio::test]
async fn a_task_read_at_once_shows_one_of_three_things() {
    let second = std::time::Duration::from_secs(1);
    let lateness = Lateness { task_delay: (second, second), ..Lateness::none() };
    for (first_counters, shown) in [
        (FirstCounters::Running, json!({ "inProgressCount": 1, "successCount": 0, "failureCount": 0, "failureReasons": [] })),
        (FirstCounters::Zero, json!({ "inProgressCount": 0, "successCount": 0, "failureCount": 0, "failureReasons": [] })),
        (FirstCounters::Absent, json!({ "failureReasons": [] })),
    ] {
        let quirks = Quirks { first_counters, task_life_seconds: 60, ..Quirks::default() };
        let (world, clock) = still(SimulatorConfig { lateness, quirks, ..SimulatorConfig::default() }).await;
        let task = world.move_to(policy::RECOVERY, &[STORY.email]).await;
        assert_eq!(world.task(&task).await, shown);
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(world.task(&task).await["successCount"], 1);
        clock.advance(TimeDelta::seconds(59));
        let path = format!("{}/auth-policy/task/{task}", World::control_path());
        assert_eq!(world.call(Method::GET, &path, None).await.status(), 404, "a task can be read only for so long");
    }
}

#[tokio::test]
async fn a_policy_deleted_before_the_effect_takes_nobody() {
    let second = std::time::Duration::from_secs(1);
    let lateness = Lateness { task_delay: (second, second), ..Lateness::none() };
    let (world, clock) = still(SimulatorConfig { lateness, ..SimulatorConfig::default() }).await;
    let task = world.move_to(policy::GUESTS, &[STORY.email]).await;
    world.truth().delete_policy(policy::GUESTS).unwrap();
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(world.task(&task).await["failureReasons"][0]["details"]["status"], 404);
    assert_eq!(policy_of(&world, STORY.id), policy::EVERYONE);
    assert_eq!(policy_of(&world, GUEST.id), policy::EVERYONE, "members land in the default policy");
    let body = json!({ "users": [STORY.email] });
    assert_eq!(world.call(Method::POST, &World::add_users_path(policy::GUESTS), Some(body)).await.status(), 404);
}

#[tokio::test]
async fn placements_of_unknown_and_unmanaged_ids_are_left_out_or_refuse_the_call() {
    let world = World::start().await;
    let ids = [STORY.id, "nobody", UNMANAGED.id];
    let placements = world.placements(&ids).await;
    assert_eq!(placements.len(), 1);
    assert_eq!(placements[0]["name"], STORY.name);
    let strict = World::with(with(Quirks { unknown_ids: UnknownIds::NotFound, ..Quirks::default() })).await;
    let path = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
    assert_eq!(strict.call(Method::POST, &path, Some(json!({ "accountIds": ids }))).await.status(), 404);
}
