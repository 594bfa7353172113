//! Every call of the provider is there, and no other; pages of managed accounts; domains, directories, activity.

use std::collections::HashSet;

use homeward_simulator::well_known::{DIRECTORY, DOMAIN, LONG_UNSEEN, ORGANISATION, STORY, UNMANAGED, UNVERIFIED_DOMAIN, policy};
use homeward_simulator::{Drift, ENDPOINTS, UNKNOWN};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

/// The path of a call, with its parameters filled in.
fn fill(template: &str) -> String {
    let pairs = [
        ("{org}", ORGANISATION),
        ("{directory}", "-"),
        ("{domain}", "d-1f0c"),
        ("{policy}", policy::RECOVERY),
        ("{account}", STORY.id),
        ("{token}", "no-such-token"),
        ("{task}", "no-such-task"),
    ];
    pairs.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[tokio::test]
async fn every_listed_call_is_there_and_counted() {
    let world = World::start().await;
    for endpoint in ENDPOINTS {
        let (method, template) = endpoint.call.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let body = (method == Method::POST).then(|| match template {
            path if path.ends_with("add-users") => json!({ "users": [STORY.email] }),
            path if path.ends_with("bulk-fetch") => json!({ "accountIds": [STORY.id] }),
            _ => json!({}),
        });
        let response = world.call(method, &fill(template), body).await;
        let missing = template.ends_with("{token}") || template.ends_with("{task}");
        assert_eq!(response.status().is_success(), !missing, "{}: {}", endpoint.call, response.status());
        assert!(world.truth().calls().iter().any(|count| count.call == endpoint.call && count.count == 1), "{}", endpoint.call);
    }
    assert!(world.truth().calls().iter().all(|count| count.call != UNKNOWN));
}

#[tokio::test]
async fn a_path_that_the_provider_does_not_have_is_told_and_counted() {
    let world = World::start().await;
    let response = world.call(Method::GET, &format!("/admin/v1/orgs/{ORGANISATION}/policies"), None).await;
    assert_eq!(response.status(), 404);
    let response = world.call(Method::DELETE, &format!("/admin/v1/orgs/{ORGANISATION}"), None).await;
    assert_eq!(response.status(), 405);
    let unknown: u64 = world.truth().calls().iter().filter(|count| count.call == UNKNOWN).map(|count| count.count).sum();
    assert_eq!(unknown, 2);
}

/// Follows `links.next`, which is a whole address here, and gives every entry.
async fn all_managed(world: &World, mut at_page: impl FnMut(usize)) -> Vec<Value> {
    let mut next = Some(format!("{}/admin/v1/orgs/{ORGANISATION}/users", world.running.provider_url));
    let (mut users, mut pages) = (Vec::new(), 0);
    while let Some(url) = next {
        let path = url.strip_prefix(&world.running.provider_url).unwrap();
        let mut page = world.get(path).await;
        pages += 1;
        at_page(pages);
        next = page["links"]["next"].as_str().map(str::to_owned);
        let Value::Array(data) = page["data"].take() else { panic!("no list") };
        users.extend(data);
    }
    users
}

#[tokio::test]
async fn pages_of_managed_accounts_hold_each_managed_account_once() {
    let world = World::start().await;
    let users = all_managed(&world, |_| ()).await;
    let ids: HashSet<&str> = users.iter().map(|user| user["account_id"].as_str().unwrap()).collect();
    assert_eq!((users.len(), ids.len()), (849, 849));
    assert!(!ids.contains(UNMANAGED.id));
    let story = users.iter().find(|user| user["account_id"] == STORY.id).unwrap();
    assert_eq!(story["account_status"], "active");
    assert_eq!(story["email"], STORY.email);
    assert!(story.get("mfaEnabled").is_none(), "this call does not tell");
}

#[tokio::test]
async fn paging_while_accounts_change_loses_nobody_who_stays() {
    let world = World::start().await;
    let first = world.truth().page(200, 1).accounts.remove(0);
    let truth = world.truth();
    let users = all_managed(&world, |page| {
        if page == 2 {
            truth.drift(&first.id, Drift::Delete { grace: false }).unwrap();
        }
    })
    .await;
    let ids: HashSet<&str> = users.iter().map(|user| user["account_id"].as_str().unwrap()).collect();
    let there = world.truth().page(0, usize::MAX).accounts;
    let managed = there.iter().filter(|account| account.policy.is_some());
    assert!(managed.clone().count() == 848 && managed.clone().all(|account| ids.contains(account.id.as_str())));
}

#[tokio::test]
async fn a_domain_tells_whether_it_is_verified() {
    let world = World::start().await;
    let domains = world.get(&format!("/admin/v1/orgs/{ORGANISATION}/domains")).await;
    let claims: Vec<(&str, &str)> = domains["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|domain| (domain["attributes"]["name"].as_str().unwrap(), domain["attributes"]["claim"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(claims, [(DOMAIN, "verified"), (UNVERIFIED_DOMAIN, "unverified")]);
}

#[tokio::test]
async fn the_organisation_has_one_directory() {
    let world = World::start().await;
    let directories = world.get(&format!("/admin/v2/orgs/{ORGANISATION}/directories")).await;
    assert_eq!(directories["data"], json!([{ "directoryId": DIRECTORY, "name": "Local directory" }]));
    assert!(directories["links"]["next"].is_null());
}

#[tokio::test]
async fn activity_is_told_for_each_app() {
    let world = World::start().await;
    let path = |id: &str| format!("/admin/v1/orgs/{ORGANISATION}/directory/users/{id}/last-active-dates");
    let unseen = world.get(&path(LONG_UNSEEN.id)).await;
    let told = unseen["data"]["product_access"][0]["last_active_timestamp"].as_str().unwrap();
    let truth = world.truth().account(LONG_UNSEEN.id).unwrap().last_active.unwrap();
    assert_eq!(told.parse::<homeward_types::Timestamp>().unwrap().timestamp_millis(), truth.timestamp_millis());
    assert_eq!(world.call(Method::GET, &path("nobody"), None).await.status(), 404);
}
