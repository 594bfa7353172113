//! The shapes of errors, which differ by API: a client must accept all of them, and empty bodies.

use homeward_simulator::well_known::{ORGANISATION, STORY, key, policy};
use homeward_simulator::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

const FOREIGN: &str = "00000000-0000-0000-0000-000000000000";

async fn answer(world: &World, secret: &str, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
    let response = world.send(secret, method, path, body).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_key_that_is_not_known_gets_401_in_the_shape_of_each_api() {
    let world = World::start().await;
    let bulk = format!("{}/users/auth-policies/bulk-fetch", World::control_path());
    assert_eq!(answer(&world, "wrong", Method::POST, &bulk, Some(json!({ "accountIds": [] }))).await, (401, String::new()));
    for path in ["/admin/v1/orgs".to_owned(), format!("/users/{}/manage", STORY.id)] {
        let (status, text) = answer(&world, "wrong", Method::GET, &path, None).await;
        assert_eq!((status, json_of(&text)), (401, json!({ "code": 401, "message": "Unauthorized" })));
    }
    let bare = world.http.get(format!("{}/admin/v1/orgs", world.running.provider_url)).send().await.unwrap();
    assert_eq!(bare.status(), 401);
}

#[tokio::test]
async fn control_calls_have_errors_with_a_number_or_a_list_but_never_both() {
    let world = World::start().await;
    let (status, text) = answer(
        &world,
        key::UNSCOPED,
        Method::POST,
        &World::add_users_path("no-such-policy"),
        Some(json!({ "users": [STORY.email] })),
    )
    .await;
    assert_eq!((status, json_of(&text)["code"].as_u64()), (404, Some(404)), "the code is a number");
    for body in [json!({ "accountIds": [STORY.id] }), json!({ "userIds": [STORY.id] }), json!({ "users": [] }), json!([])] {
        let path = World::add_users_path(policy::RECOVERY);
        let (status, text) = answer(&world, key::UNSCOPED, Method::POST, &path, Some(body.clone())).await;
        assert_eq!((status, &json_of(&text)["errors"][0]["status"]), (400, &json!("400")), "{body}");
    }
    let task = format!("{}/auth-policy/task/none", World::control_path());
    assert_eq!(answer(&world, key::UNSCOPED, Method::GET, &task, None).await.0, 404);
    let (status, text) = answer(&world, key::READER, Method::GET, &task, None).await;
    assert_eq!((status, json_of(&text)["code"].as_u64()), (403, Some(403)));
}

#[tokio::test]
async fn an_organisation_that_is_not_ours_is_not_found() {
    let world = World::start().await;
    let users = format!("/admin/v1/orgs/{FOREIGN}/users");
    let (status, text) = answer(&world, key::UNSCOPED, Method::GET, &users, None).await;
    assert_eq!((status, json_of(&text)["errors"][0]["code"].as_str()), (404, Some("ADMIN-404-2")));
    let bulk = format!("/admin/control/v1/orgs/{FOREIGN}/users/auth-policies/bulk-fetch");
    let (status, text) = answer(&world, key::UNSCOPED, Method::POST, &bulk, Some(json!({ "accountIds": [] }))).await;
    assert_eq!((status, json_of(&text)["code"].as_u64()), (404, Some(404)));
}

#[tokio::test]
async fn bad_cursors_and_dates_have_their_own_codes() {
    let world = World::start().await;
    for (path, code) in [
        (format!("/admin/v1/orgs/{ORGANISATION}/users?cursor=x"), "ADMIN-400-1"),
        (format!("/admin/v1/orgs/{ORGANISATION}/events-stream?cursor=x"), "ADMIN-400-1"),
        (format!("/admin/v1/orgs/{ORGANISATION}/events-stream?from=yesterday"), "ADMIN-400-3"),
        (format!("/admin/v1/orgs/{ORGANISATION}/events-stream?limit=501"), "ADMIN-400-19"),
    ] {
        let (status, text) = answer(&world, key::UNSCOPED, Method::GET, &path, None).await;
        assert_eq!((status, json_of(&text)["errors"][0]["code"].as_str()), (400, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn failures_and_throttling_come_in_the_shape_of_each_api() {
    let world = World::start().await;
    let organisations = format!("/admin/v1/orgs/{ORGANISATION}/domains");
    let control = format!("{}/auth-policy/task/none", World::control_path());
    let users = format!("/users/{}/manage", STORY.id);
    world.truth().fault(Fault::on("GET", FaultKind::ServerError { status: 500 }).times(3));
    for (path, member) in [(&organisations, "errors"), (&control, "errors"), (&users, "key")] {
        let (status, text) = answer(&world, key::UNSCOPED, Method::GET, path, None).await;
        assert_eq!(status, 500);
        assert!(json_of(&text).get(member).is_some(), "{path}: {text}");
    }
    world.truth().fault(Fault::on("GET", FaultKind::TooManyRequests).times(3));
    assert_eq!(answer(&world, key::UNSCOPED, Method::GET, &control, None).await, (429, String::new()));
    for path in [&organisations, &users] {
        let (status, text) = answer(&world, key::UNSCOPED, Method::GET, path, None).await;
        assert_eq!((status, json_of(&text)["code"].as_u64()), (429, Some(429)));
    }
}

#[tokio::test]
async fn no_body_however_odd_brings_the_simulator_down() {
    let world = World::start().await;
    let bodies: [&[u8]; 9] =
        [b"", b"null", b"[]", b"{", b"\"", b"\xff\xfe", b"{\"users\": 1}", b"{\"accountIds\": [null]}", b"{\"limit\": 1e300}"];
    let paths = [
        World::add_users_path(policy::RECOVERY),
        format!("{}/users/auth-policies/bulk-fetch", World::control_path()),
        World::search_path(),
        "/fake/sign-in.json".to_owned(),
        "/fake/enrol.json".to_owned(),
        "/fake/sign-in".to_owned(),
    ];
    for path in paths {
        for body in bodies {
            let request = world.http.post(format!("{}{path}", world.running.provider_url)).bearer_auth(key::UNSCOPED);
            let response = request.header("content-type", "application/json").body(body.to_vec()).send().await.unwrap();
            let harmless = body.is_empty() || body == b"[]";
            assert!(response.status().is_client_error() || harmless, "{path} {body:?}: {}", response.status());
        }
    }
    assert!(world.truth().log(0).is_empty());
}
