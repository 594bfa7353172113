//! A large organisation: nothing that one request does grows with the number of accounts it does not name.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use homeward_simulator::SimulatorConfig;
use homeward_simulator::well_known::{ORGANISATION, policy, stranded_email};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn fifty_thousand_accounts_are_paged_read_and_moved() {
    let config = SimulatorConfig { accounts: 50_000, stranded: 5_000, ..SimulatorConfig::default() };
    let world = World::with(config).await;
    let (mut path, mut seen) = (Some(format!("/admin/v1/orgs/{ORGANISATION}/users")), HashSet::new());
    while let Some(at) = path {
        let page = world.get(&at).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|user| user["account_id"].as_str().unwrap().to_owned()));
        path = page["links"]["next"].as_str().map(|url| url.strip_prefix(&world.running.provider_url).unwrap().to_owned());
    }
    assert_eq!(seen.len(), 50_000);

    let ids: Vec<&str> = seen.iter().map(String::as_str).collect();
    for part in ids.chunks(10_000) {
        let path = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
        let placements = world.post(&path, json!({ "accountIds": part })).await;
        assert_eq!(placements.as_array().unwrap().len(), part.len());
    }

    let emails: Vec<String> = (1..=5_000).map(stranded_email).collect();
    for part in emails.chunks(500) {
        world.move_to(policy::RECOVERY, &part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let out = world.truth().log(0);
    assert_eq!(out.len(), 5_000);
    let people: Vec<Value> = emails.iter().map(|email| json!({ "email": email })).collect();
    world.post("/fake/sign-in.json", json!(people)).await;
    world.post("/fake/enrol.json", json!(people)).await;
    assert_eq!(world.truth().log(0).len(), 10_000);
}

#[tokio::test]
async fn small_requests_cost_little_however_large_the_organisation() {
    let world = World::with(SimulatorConfig { accounts: 50_000, stranded: 100, ..SimulatorConfig::default() }).await;
    let begun = Instant::now();
    for n in 1..=100 {
        let email = stranded_email(n);
        world.move_to(policy::RECOVERY, &[&email]).await;
        world.find(&email).await;
        world.truth().summary([]);
    }
    // 200 requests take some 100 ms; a walk over all accounts in each would take minutes in an unoptimised build.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
