//! The v2 user search and details: filters, limits, cursors that are not addresses, and what a user looks like.

use std::collections::HashSet;

use homeward_simulator::SimulatorConfig;
use homeward_simulator::config::{DelegatedFactor, Quirks};
use homeward_simulator::well_known::{
    ADMINISTRATOR, DIRECTORY, MIA_BERG, ORGANISATION, OTHER_MIA_BERG, SINGLE_SIGN_ON, STORY, SUSPENDED, UNMANAGED,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

async fn search(world: &World, body: Value) -> Vec<Value> {
    let mut answer = world.post(&World::search_path(), body).await;
    let Value::Array(users) = answer["data"].take() else { panic!("no list") };
    users
}

fn emails(users: &[Value]) -> HashSet<&str> {
    users.iter().map(|user| user["email"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_address_finds_its_account_whatever_the_case() {
    let world = World::start().await;
    let users = search(&world, json!({ "emails": [STORY.email.to_uppercase(), "nobody@northwind.example"] })).await;
    assert_eq!(users.len(), 1);
    let story = &users[0];
    assert_eq!(story["accountId"], STORY.id);
    assert_eq!(story["mfaEnabled"], false);
    assert_eq!(story["claimStatus"], "managed");
    assert_eq!(story["accountStatus"], "active");
    assert_eq!(story["membershipStatus"], "active");
    assert_eq!(story["managementSource"], "invited");
    assert!(story.get("platformRoles").is_none(), "only when asked for");
}

#[tokio::test]
async fn two_people_of_one_name_are_both_found_by_term() {
    let world = World::start().await;
    let users = search(&world, json!({ "searchTerm": "mia berg" })).await;
    assert_eq!(emails(&users), HashSet::from([MIA_BERG.email, OTHER_MIA_BERG.email]));
}

#[tokio::test]
async fn filters_narrow_the_search() {
    let world = World::start().await;
    let unmanaged = search(&world, json!({ "claimStatus": "unmanaged", "emails": [UNMANAGED.email, STORY.email] })).await;
    assert_eq!(emails(&unmanaged), HashSet::from([UNMANAGED.email]));
    assert!(unmanaged[0].get("mfaEnabled").is_none(), "meaningful for managed accounts only");
    let suspended = search(&world, json!({ "membershipStatus": ["suspended"], "emails": [SUSPENDED.email, STORY.email] })).await;
    assert_eq!(emails(&suspended), HashSet::from([SUSPENDED.email]));
    let absent = search(&world, json!({ "mfaEnabled": false, "emails": [STORY.email, MIA_BERG.email] })).await;
    assert_eq!(emails(&absent), HashSet::from([STORY.email]));
    let admins = search(&world, json!({ "roleIds": ["atlassian/org-admin"], "expand": ["platformRoles"] })).await;
    assert_eq!(emails(&admins), HashSet::from([ADMINISTRATOR.email]));
    assert_eq!(admins[0]["platformRoles"], json!(["atlassian/org-admin"]));
    assert!(search(&world, json!({ "groupIds": ["g"] })).await.is_empty());
}

#[tokio::test]
async fn a_cursor_goes_on_where_the_page_ended_and_everything_else_is_ignored() {
    let world = World::start().await;
    let mut body = json!({ "claimStatus": "managed", "limit": 100 });
    let mut seen = HashSet::new();
    loop {
        let answer = world.post(&World::search_path(), body.clone()).await;
        for user in answer["data"].as_array().unwrap() {
            assert_eq!(user["claimStatus"], "managed");
            assert!(seen.insert(user["accountId"].as_str().unwrap().to_owned()), "each once");
        }
        let Some(next) = answer["links"]["next"].as_str() else { break };
        assert!(!next.contains("://"), "the cursor itself, not an address");
        body = json!({ "cursor": next, "claimStatus": "unmanaged", "limit": 1 });
    }
    assert_eq!(seen.len(), 849);
}

#[tokio::test]
async fn more_addresses_than_the_default_page_need_a_second_page() {
    let world = World::start().await;
    let accounts = world.truth().page(0, 60).accounts;
    let all: Vec<&str> = accounts.iter().map(|account| account.email.as_str()).collect();
    let first = world.post(&World::search_path(), json!({ "emails": all })).await;
    assert_eq!(first["data"].as_array().unwrap().len(), 50);
    let rest = search(&world, json!({ "cursor": first["links"]["next"] })).await;
    assert_eq!(rest.len(), 10);
}

#[tokio::test]
async fn what_the_documentation_forbids_is_refused() {
    let world = World::start().await;
    let many = |n: usize| (0..n).map(|i| format!("a{i}@northwind.example")).collect::<Vec<_>>();
    for body in [
        json!({ "emails": many(101) }),
        json!({ "emails": [] }),
        json!({ "emails": many(1), "searchTerm": "a" }),
        json!({ "accountIds": many(11) }),
        json!({ "limit": 101 }),
        json!({ "limit": 0 }),
        json!({ "cursor": "not one of ours" }),
        json!({ "accountStatus": "active" }),
        json!({ "userIds": [STORY.id] }),
    ] {
        let response = world.call(Method::POST, &World::search_path(), Some(body.clone())).await;
        assert_eq!(response.status(), 400, "{body}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["errors"][0]["status"], "400", "{body}");
    }
}

#[tokio::test]
async fn details_name_one_user() {
    let world = World::start().await;
    let path = |directory: &str, id: &str| format!("/admin/v2/orgs/{ORGANISATION}/directories/{directory}/users/{id}");
    for directory in ["-", DIRECTORY] {
        let details = world.get(&path(directory, ADMINISTRATOR.id)).await;
        assert_eq!(details["data"]["email"], ADMINISTRATOR.email);
        assert_eq!(details["data"]["platformRoles"], json!(["atlassian/org-admin"]));
    }
    // An id with `|` must be encoded in the path, and is understood.
    assert_eq!(world.get(&path("-", "qm:4f0d7a3c:5e11%7C7f005")).await["data"]["accountId"], UNMANAGED.id);
    let missing = world.call(Method::GET, &path("-", "nobody"), None).await;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<Value>().await.unwrap()["errors"][0]["code"], "ADMIN-404-8");
    assert_eq!(world.call(Method::GET, &path("elsewhere", STORY.id), None).await.status(), 404);
}

#[tokio::test]
async fn a_synced_account_says_so_and_may_hide_its_factor() {
    let quirks = Quirks { delegated_factor: DelegatedFactor::LeftOut, ..Quirks::default() };
    for (world, shown) in [
        (World::start().await, Some(&json!(false))),
        (World::with(SimulatorConfig { quirks, ..SimulatorConfig::default() }).await, None),
    ] {
        let user = world.find(SINGLE_SIGN_ON.email).await;
        assert_eq!(user["managementSource"], "synced");
        assert_eq!(user.get("mfaEnabled"), shown);
    }
}
