//! A storm from a seed: each kind of fault comes, accounts change, and then it is over.

use chrono::TimeDelta;
use std::collections::HashSet;

use homeward_simulator::well_known::{key, policy, stranded_email};
use homeward_simulator::{Fact, FaultKind, SimulatorConfig, Storm};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, still};

/// Milliseconds; the turns of the test take a fifth longer.
const LASTS: u64 = 60_000;

fn storm(seed: u64, accounts: Vec<String>) -> Storm {
    Storm { seed, for_ms: LASTS, probability: 0.02, late_ms: 10, accounts }
}

/// The name of a kind of fault.
fn name(kind: &FaultKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| Some(value["kind"].as_str()?.to_owned())).unwrap_or_default()
}

#[tokio::test]
async fn a_storm_brings_every_kind_of_fault_and_passes() {
    let (world, clock) = still(SimulatorConfig { stranded: 10, ..SimulatorConfig::default() }).await;
    let people: Vec<_> = (1..=8).filter_map(|n| world.truth().by_email(&stranded_email(n))).collect();
    let storm = storm(7, people.iter().map(|account| account.id.clone()).collect());
    let answer = world.control(Method::POST, "/faults/storm", Some(json!(storm))).await;
    let numbers: Value = answer.json().await.unwrap();
    assert_eq!(numbers["numbers"].as_array().map(Vec::len), Some(storm.faults().len()));
    let outsider = stranded_email(9);
    for turn in 0..600 {
        clock.advance(TimeDelta::milliseconds(120));
        let _ = match turn % 3 {
            0 => {
                let path = World::add_users_path(policy::RECOVERY);
                world.send(key::UNSCOPED, Method::POST, &path, Some(json!({ "users": [outsider] }))).await
            }
            1 => {
                let path = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
                world.send(key::UNSCOPED, Method::POST, &path, Some(json!({ "accountIds": [people[0].id] }))).await
            }
            _ => world.send(key::UNSCOPED, Method::POST, &World::search_path(), Some(json!({ "emails": [outsider] }))).await,
        };
    }
    let states = world.truth().faults();
    let kinds: HashSet<String> = states.iter().map(|state| name(&state.fault.what)).collect();
    let fired: HashSet<String> = states.iter().filter(|state| state.fired > 0).map(|state| name(&state.fault.what)).collect();
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    assert_eq!(kinds.difference(&fired).collect::<Vec<_>>(), Vec::<&String>::new(), "these never fired");
    for account in &people {
        let changed = world.truth().log(0).into_iter().any(|effect| effect.account == account.id && effect.fact != Fact::Policy);
        assert!(changed, "{} did not change", account.email);
    }
    let after = world.call(Method::GET, "/admin/v1/orgs", None).await;
    assert_eq!(after.status(), 200, "the storm is over");
}

#[test]
fn the_same_seed_makes_the_same_storm() {
    let accounts = || vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(storm(1, accounts()).faults(), storm(1, accounts()).faults());
    assert_ne!(storm(1, accounts()).faults(), storm(2, accounts()).faults());
}
