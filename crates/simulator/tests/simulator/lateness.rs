//! Everything may be late, but never later than the settings say.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use homeward_simulator::well_known::{LOST_PHONE, ORGANISATION, STORY, policy};
use homeward_simulator::{Drift, Lateness, SHORT_PROFILE, SimulatorConfig};
use homeward_types::Limits;

use crate::world::still;

fn late(lateness: Lateness) -> SimulatorConfig {
    SimulatorConfig { lateness, ..SimulatorConfig::default() }
}

#[tokio::test]
async fn a_move_takes_effect_within_its_delay_and_is_logged_at_its_own_time() {
    let lateness = Lateness { task_delay: (Duration::from_secs(2), Duration::from_secs(8)), ..Lateness::none() };
    let (world, clock) = still(late(lateness)).await;
    let begun = world.truth();
    world.move_to(policy::RECOVERY, &[STORY.email]).await;
    clock.advance(TimeDelta::milliseconds(1_999));
    assert!(begun.log(0).is_empty(), "not before the least delay");
    clock.advance(TimeDelta::seconds(7));
    let log = begun.log(0);
    assert_eq!(log.len(), 1, "not after the most");
    let took = log[0].at - crate::world::epoch();
    assert!(took >= TimeDelta::seconds(2) && took <= TimeDelta::seconds(8), "{took}");
}

#[tokio::test]
async fn a_large_batch_takes_effect_in_pieces() {
    let lateness = Lateness { task_delay: (Duration::from_secs(1), Duration::from_secs(100)), ..Lateness::none() };
    let (world, clock) = still(SimulatorConfig { stranded: 40, ..late(lateness) }).await;
    let emails: Vec<String> = (1..=40).map(homeward_simulator::well_known::stranded_email).collect();
    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
    let task = world.move_to(policy::RECOVERY, &emails).await;
    let mut seen = HashSet::new();
    for _ in 0..100 {
        clock.advance(TimeDelta::seconds(1));
        let view = world.task(&task).await;
        let done = view["successCount"].as_u64().unwrap();
        let running = view["inProgressCount"].as_u64().unwrap();
        assert!(done + running == 40 || done + running == 0);
        seen.insert(done);
    }
    assert_eq!(seen, HashSet::from([0, 10, 20, 30, 40]));
}

#[tokio::test]
async fn two_tasks_may_take_effect_in_the_wrong_order() {
    let lateness = Lateness { task_delay: (Duration::from_secs(1), Duration::from_mins(1)), ..Lateness::none() };
    let mut ends = HashSet::new();
    for seed in 1..=12 {
        let (world, clock) = still(SimulatorConfig { seed, ..late(lateness) }).await;
        world.move_to(policy::RECOVERY, &[STORY.email]).await;
        world.move_to(policy::ENGINEERING, &[STORY.email]).await;
        clock.advance(TimeDelta::seconds(60));
        ends.insert(world.truth().account(STORY.id).unwrap().policy.unwrap());
    }
    assert_eq!(ends.len(), 2, "the later call does not always win: {ends:?}");
}

#[tokio::test]
async fn placement_reads_lag_and_may_flap_but_only_so_long() {
    let lateness = Lateness { read_lag: Duration::from_secs(10), ..Lateness::none() };
    let (world, clock) = still(late(lateness)).await;
    clock.advance(TimeDelta::seconds(60));
    world.move_to(policy::RECOVERY, &[STORY.email]).await;
    clock.advance(TimeDelta::seconds(5));
    let mut seen = HashSet::new();
    for _ in 0..40 {
        seen.insert(world.placement(STORY.id).await["authPolicyInfo"]["policyId"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 2, "some replicas know, some do not: {seen:?}");
    clock.advance(TimeDelta::seconds(5));
    for _ in 0..40 {
        assert_eq!(world.placement(STORY.id).await["authPolicyInfo"]["policyId"], policy::RECOVERY);
    }
    assert_eq!(world.truth().account(STORY.id).unwrap().policy.as_deref(), Some(policy::RECOVERY), "the truth is never late");
}

#[tokio::test]
async fn factor_reads_lag_but_only_so_long() {
    let lateness = Lateness { factor_lag: Duration::from_secs(10), ..Lateness::none() };
    let (world, clock) = still(late(lateness)).await;
    world.truth().drift(LOST_PHONE.id, Drift::Factor { enrolled: false, lost: false }).unwrap();
    clock.advance(TimeDelta::seconds(5));
    let mut seen = HashSet::new();
    for _ in 0..40 {
        seen.insert(world.find(LOST_PHONE.email).await["mfaEnabled"].as_bool().unwrap());
    }
    assert_eq!(seen, HashSet::from([true, false]));
    clock.advance(TimeDelta::seconds(5));
    for _ in 0..40 {
        assert_eq!(world.find(LOST_PHONE.email).await["mfaEnabled"], false);
    }
}

#[tokio::test]
async fn events_show_late_but_a_kept_cursor_misses_none() {
    let lateness = Lateness { event_lag: Duration::from_secs(30), ..Lateness::none() };
    let (world, clock) = still(late(lateness)).await;
    let path = format!("/admin/v1/orgs/{ORGANISATION}/events-stream");
    let mut cursor = world.get(&path).await["meta"]["next"].as_str().unwrap().to_owned();
    let mut shown = 0;
    for turn in 0..40 {
        if turn < 20 {
            world.sign_in(STORY.email, None).await;
            world.truth().drift(STORY.id, Drift::Move { policy: policy::RECOVERY.into() }).unwrap();
        }
        let page = world.get(&format!("{path}?cursor={cursor}")).await;
        shown += page["data"].as_array().unwrap().len();
        cursor = page["meta"]["next"].as_str().unwrap().to_owned();
        clock.advance(TimeDelta::seconds(2));
    }
    // Twenty moves, and a sign-in from the second turn on.
    assert_eq!(shown, 39);
}

#[test]
fn real_lateness_fits_the_limits_of_both_profiles() {
    for (lateness, limits) in [(Lateness::real(), Limits::default()), (Lateness::real().faster(SHORT_PROFILE), Limits::short())] {
        assert!(lateness.read_lag <= limits.read_lag);
        assert!(lateness.factor_lag <= limits.factor_lag);
        assert!(lateness.task_delay.1 + lateness.answer.1 <= limits.late_limit);
        assert!(lateness.answer.1 < limits.client_timeout);
    }
}

#[tokio::test]
async fn the_same_seed_makes_the_same_organisation() {
    let digest = async |seed: u64| {
        let (world, _clock) = still(SimulatorConfig { seed, ..SimulatorConfig::default() }).await;
        world.truth().summary([]).digest
    };
    assert_eq!(digest(7).await, digest(7).await);
    assert_ne!(digest(7).await, digest(8).await);
}
