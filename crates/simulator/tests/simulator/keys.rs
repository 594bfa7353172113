//! Keys with scopes and without, their ends, and the list by which an end can be watched.

use chrono::TimeDelta;
use homeward_simulator::config::{Quirks, UnlistedScope};
use homeward_simulator::well_known::{ORGANISATION, STORY, key, policy};
use homeward_simulator::{ApiKey, SimulatorConfig};
use homeward_types::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, epoch, still};

async fn status(world: &World, secret: &str, method: Method, path: &str, body: Option<Value>) -> u16 {
    world.send(secret, method, path, body).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn user_management_refuses_every_key_with_scopes() {
    let world = World::start().await;
    let path = format!("/users/{}/manage?privileges=lifecycle.enablement", STORY.id);
    assert_eq!(status(&world, key::UNSCOPED, Method::GET, &path, None).await, 200);
    let refused = world.send(key::SCOPED, Method::GET, &path, None).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json::<Value>().await.unwrap()["key"], "forbidden.insufficientScope");
}

#[tokio::test]
async fn only_the_scope_for_writing_policies_moves_anyone() {
    let world = World::start().await;
    let path = World::add_users_path(policy::RECOVERY);
    let body = Some(json!({ "users": [STORY.email] }));
    assert_eq!(status(&world, key::READER, Method::POST, &path, body.clone()).await, 403);
    assert_eq!(world.truth().account(STORY.id).unwrap().policy.as_deref(), Some(policy::EVERYONE));
    assert_eq!(status(&world, key::SCOPED, Method::POST, &path, body).await, 202);
}

#[tokio::test]
async fn calls_that_list_no_scope_may_refuse_keys_with_scopes() {
    let refusing = Quirks { unlisted_scope: UnlistedScope::Refused, ..Quirks::default() };
    for (quirks, expected) in [(Quirks::default(), 200), (refusing, 403)] {
        let world = World::with(SimulatorConfig { quirks, ..SimulatorConfig::default() }).await;
        let bulk = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
        let body = Some(json!({ "accountIds": [STORY.id] }));
        assert_eq!(status(&world, key::SCOPED, Method::POST, &bulk, body.clone()).await, expected);
        let search = Some(json!({ "emails": [STORY.email] }));
        assert_eq!(status(&world, key::SCOPED, Method::POST, &World::search_path(), search).await, expected);
        assert_eq!(status(&world, key::UNSCOPED, Method::POST, &bulk, body).await, 200);
    }
}

#[tokio::test]
async fn a_key_ends_when_it_expires_or_is_revoked() {
    let week = ApiKey { life_seconds: 7 * 86_400, ..ApiKey::unscoped("week", "a-week") };
    let keys = vec![week, ApiKey::unscoped("year", "a-year")];
    let (world, clock) = still(SimulatorConfig { keys, ..SimulatorConfig::default() }).await;
    let listed =
        world.send("a-year", Method::GET, &format!("/admin/api-access/v1/orgs/{ORGANISATION}/api-keys"), None).await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let expires: Timestamp = listed["data"][0]["expiresAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires, epoch() + TimeDelta::days(7));
    assert!(!listed.to_string().contains("a-week"), "the secret is never shown");

    assert_eq!(status(&world, "a-week", Method::GET, "/admin/v1/orgs", None).await, 200);
    clock.advance(TimeDelta::days(7));
    assert_eq!(status(&world, "a-week", Method::GET, "/admin/v1/orgs", None).await, 401);
    assert_eq!(status(&world, "a-year", Method::GET, "/admin/v1/orgs", None).await, 200);
    assert!(world.truth().revoke_key("year"));
    assert_eq!(status(&world, "a-year", Method::GET, "/admin/v1/orgs", None).await, 401);
    assert!(!world.truth().revoke_key("no such label"));
}
