//! The User management API: privileges with reasons, profile, tokens, and containment.

use homeward_simulator::well_known::{SINGLE_SIGN_ON, STORY, UNMANAGED};
use homeward_simulator::{Cause, Drift, Fact, SignIn, Status};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

fn path(id: &str, rest: &str) -> String {
    format!("/users/{}/manage{rest}", id.replace('|', "%7C"))
}

#[tokio::test]
async fn privileges_come_with_the_reason_why_not() {
    let world = World::start().await;
    let asked = world.get(&path(STORY.id, "?privileges=lifecycle.enablement,apiToken.read")).await;
    assert_eq!(asked, json!({ "lifecycle.enablement": { "allowed": true }, "apiToken.read": { "allowed": true } }));
    let all = world.get(&path(SINGLE_SIGN_ON.id, "")).await;
    assert_eq!(all.as_object().unwrap().len(), 7);
    assert_eq!(all["lifecycle.enablement"], json!({ "allowed": false, "reason": { "key": "externalDirectory.scim" } }));
    assert_eq!(all["profile.read"], json!({ "allowed": true }));
}

#[tokio::test]
async fn an_account_that_is_not_managed_is_forbidden_and_an_unknown_one_not_found() {
    let world = World::start().await;
    let unmanaged = world.call(Method::GET, &path(UNMANAGED.id, ""), None).await;
    assert_eq!(unmanaged.status(), 403);
    assert_eq!(unmanaged.json::<Value>().await.unwrap()["key"], "forbidden");
    assert_eq!(world.call(Method::GET, &path("nobody", ""), None).await.status(), 404);
}

#[tokio::test]
async fn a_profile_has_no_field_for_two_step_verification() {
    let world = World::start().await;
    let profile = world.get(&path(STORY.id, "/profile")).await;
    assert_eq!(profile["account"]["account_id"], STORY.id);
    assert_eq!(profile["account"]["account_status"], "active");
    assert!(!profile.to_string().contains("mfa"));
}

#[tokio::test]
async fn disabling_blocks_the_sign_in_and_enabling_ends_that() {
    let world = World::start().await;
    world.truth().drift(STORY.id, Drift::Move { policy: homeward_simulator::well_known::policy::RECOVERY.into() }).unwrap();
    let session = world.sign_in(STORY.email, None).await.session.unwrap();
    let since = world.truth().log(0).len() as u64;
    let disable = path(STORY.id, "/lifecycle/disable");
    assert_eq!(world.call(Method::POST, &disable, None).await.status(), 400, "a body is required");
    for _ in 0..2 {
        assert_eq!(world.call(Method::POST, &disable, Some(json!({ "message": "contained" }))).await.status(), 204);
    }
    assert_eq!(world.sign_in(STORY.email, None).await.outcome, SignIn::AccountDisabled);
    assert_eq!(world.enrol(&session).await, homeward_simulator::Enrolment::NotSignedIn, "its session ended");
    assert_eq!(world.call(Method::POST, &path(STORY.id, "/lifecycle/enable"), None).await.status(), 204);
    assert_eq!(world.sign_in(STORY.email, None).await.outcome, SignIn::SignedIn);
    let log = world.truth().log(since);
    assert_eq!(log.len(), 2, "disabled once, enabled once");
    assert_eq!((log[0].fact, log[0].to.as_deref()), (Fact::Status, Some("inactive")));
    assert_eq!(log[0].cause, Cause::Call { call: "lifecycle disable".into() });
}

#[tokio::test]
async fn a_synced_or_closed_account_cannot_be_disabled() {
    let world = World::start().await;
    let body = || Some(json!({}));
    let synced = world.call(Method::POST, &path(SINGLE_SIGN_ON.id, "/lifecycle/disable"), body()).await;
    assert_eq!(synced.status(), 403);
    assert_eq!(
        synced.json::<Value>().await.unwrap(),
        json!({ "key": "forbidden.action", "context": { "key": "externalDirectory.scim" } })
    );
    world.truth().drift(STORY.id, Drift::Delete { grace: true }).unwrap();
    assert_eq!(world.truth().account(STORY.id).unwrap().status, Status::Closed);
    let closed = world.call(Method::POST, &path(STORY.id, "/lifecycle/disable"), body()).await;
    assert_eq!(closed.status(), 409);
    assert_eq!(closed.json::<Value>().await.unwrap()["key"], "conflict.lifecycleErrors");
}

#[tokio::test]
async fn tokens_are_listed_bare_and_deleted_one_by_one() {
    let world = World::start().await;
    world.truth().drift(STORY.id, Drift::Token { label: "script".into() }).unwrap();
    let tokens = world.get(&path(STORY.id, "/api-tokens")).await;
    assert_eq!(tokens[0]["label"], "script");
    let id = tokens[0]["id"].as_str().unwrap();
    let delete = path(STORY.id, &format!("/api-tokens/{id}"));
    assert_eq!(world.call(Method::DELETE, &delete, None).await.status(), 204);
    assert_eq!(world.get(&path(STORY.id, "/api-tokens")).await, json!([]));
    assert_eq!(world.call(Method::DELETE, &delete, None).await.status(), 404);
}
