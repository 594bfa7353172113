//! The audit log: its stream, its query, and the actions that an adapter must discover.

use homeward_simulator::well_known::{LOST_PHONE, ORGANISATION, STORY, policy};
use serde_json::{Value, json};

use crate::world::World;

fn stream() -> String {
    format!("/admin/v1/orgs/{ORGANISATION}/events-stream")
}

fn actions(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|event| event["attributes"]["action"].as_str().unwrap()).collect()
}

async fn play(world: &World) {
    world.move_to(policy::RECOVERY, &[STORY.email, LOST_PHONE.email]).await;
    world.reset(LOST_PHONE.id).await;
    let session = world.sign_in(STORY.email, None).await.session.unwrap();
    world.enrol(&session).await;
}

#[tokio::test]
async fn the_stream_tells_what_happened_in_order_of_processing() {
    let world = World::start().await;
    play(&world).await;
    let page = world.get(&stream()).await;
    let expected = [
        "auth_policy_members_added",
        "auth_policy_members_added",
        "twosv_disabled_for_user",
        "user_login",
        "twosv_enabled_by_user",
    ];
    assert_eq!(actions(&page), expected);
    let reset = &page["data"][2];
    assert_eq!(reset["type"], "events");
    assert_eq!(reset["attributes"]["context"][0]["id"], LOST_PHONE.id);
    assert!(reset["attributes"]["processedAt"].as_str() >= reset["attributes"]["time"].as_str());
    let login = &page["data"][3];
    assert_eq!(login["attributes"]["actor"]["email"], STORY.email);
    assert!(page["links"]["next"].is_null(), "nothing more for now");
}

#[tokio::test]
async fn pages_of_the_stream_join_without_gap_or_repeat() {
    let world = World::start().await;
    play(&world).await;
    let (mut cursor, mut ids) = (String::new(), Vec::new());
    for _ in 0..4 {
        let page = world.get(&format!("{}?limit=2{cursor}", stream())).await;
        ids.extend(page["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        cursor = format!("&cursor={}", page["meta"]["next"].as_str().unwrap());
    }
    let mut unique = ids.clone();
    unique.dedup();
    assert_eq!((ids.len(), unique.len()), (5, 5));
    world.sign_in(STORY.email, Some("314159")).await;
    let later = world.get(&format!("{}?limit=2{cursor}", stream())).await;
    assert_eq!(actions(&later), ["user_login"], "the last page's cursor can be kept");
}

#[tokio::test]
async fn the_query_filters_by_action_newest_first() {
    let world = World::start().await;
    play(&world).await;
    let page = world.get(&format!("/admin/v1/orgs/{ORGANISATION}/events?action=user_login")).await;
    assert_eq!(actions(&page), ["user_login"]);
    assert!(page["data"][0]["attributes"].get("processedAt").is_none(), "only the stream has it");
    let newest = world.get(&format!("/admin/v1/orgs/{ORGANISATION}/events?limit=2")).await;
    assert_eq!(actions(&newest), ["twosv_enabled_by_user", "user_login"]);
    let next = newest["meta"]["next"].as_str().unwrap();
    let older = world.get(&format!("/admin/v1/orgs/{ORGANISATION}/events?limit=2&cursor={next}")).await;
    assert_eq!(actions(&older), ["twosv_disabled_for_user", "auth_policy_members_added"]);
}

#[tokio::test]
async fn time_filters_are_epoch_milliseconds() {
    let world = World::start().await;
    play(&world).await;
    let now = chrono::DateTime::parse_from_rfc3339(world.get(&stream()).await["data"][4]["attributes"]["time"].as_str().unwrap())
        .unwrap()
        .timestamp_millis();
    assert!(actions(&world.get(&format!("{}?from={}", stream(), now + 60_000)).await).is_empty());
    assert!(actions(&world.get(&format!("{}?to={}", stream(), now - 60_000)).await).is_empty());
    assert_eq!(actions(&world.get(&format!("{}?from={}", stream(), now - 60_000)).await).len(), 5);
}

#[tokio::test]
async fn actions_have_ids_and_display_names() {
    let world = World::start().await;
    let actions = world.get(&format!("/admin/v1/orgs/{ORGANISATION}/event-actions")).await;
    let named: Vec<(&str, &str)> = actions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| (action["id"].as_str().unwrap(), action["attributes"]["displayName"].as_str().unwrap()))
        .collect();
    assert!(named.contains(&("user_login", "Logged in to account")));
    assert!(named.iter().any(|(id, _)| *id == "twosv_disabled_for_user"));
    assert_eq!(actions["data"][0]["attributes"]["groupDisplayNames"], json!(["Atlassian accounts"]));
}
