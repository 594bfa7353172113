//! Rate limits: headers with minute precision, a window for each key and path, and 429 when it is used up.

use chrono::TimeDelta;
use homeward_simulator::SimulatorConfig;
use homeward_simulator::config::{Quirks, RateLimit};
use homeward_simulator::well_known::{ORGANISATION, STORY, key, policy};
use reqwest::{Method, Response};
use serde_json::json;

use crate::world::{World, still};

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_published_limits_are_counted_and_told_in_headers() {
    let config = SimulatorConfig { rate_limits: RateLimit::published(), ..SimulatorConfig::default() };
    let (world, clock) = still(config).await;
    let path = format!("/admin/v1/orgs/{ORGANISATION}/events?limit=1");
    for left in (0..10).rev() {
        let response = world.call(Method::GET, &path, None).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ratelimit-limit").as_deref(), Some("10"));
        assert_eq!(header(&response, "x-ratelimit-remaining"), Some(left.to_string()));
    }
    let refused = world.call(Method::GET, &path, None).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "x-ratelimit-remaining").as_deref(), Some("0"));
    // The clock shows 2026-09-21T14:13:20Z; the window ends at the next whole minute, told without seconds.
    assert_eq!(header(&refused, "x-ratelimit-reset").as_deref(), Some("2026-09-21T14:14Z"));
    assert_eq!(header(&refused, "retry-after"), None, "not documented");
    let other = world.send(key::SCOPED, Method::GET, &path, None).await.unwrap();
    assert_eq!(other.status(), 200, "each key has its own");

    clock.advance(TimeDelta::seconds(39));
    assert_eq!(world.call(Method::GET, &path, None).await.status(), 429);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(world.call(Method::GET, &path, None).await.status(), 200);
    let unlimited = world.call(Method::GET, "/admin/v1/orgs", None).await;
    assert_eq!(header(&unlimited, "x-ratelimit-limit"), None);
}

#[tokio::test]
async fn a_request_that_was_throttled_has_no_effect() {
    let quirks = Quirks { retry_after: true, ..Quirks::default() };
    let rate_limits = vec![RateLimit { path: "*add-users".into(), per_minute: 1 }];
    let (world, _clock) = still(SimulatorConfig { rate_limits, quirks, ..SimulatorConfig::default() }).await;
    world.move_to(policy::ENGINEERING, &[STORY.email]).await;
    let body = json!({ "users": [STORY.email] });
    let refused = world.call(Method::POST, &World::add_users_path(policy::RECOVERY), Some(body)).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("40"));
    assert_eq!(world.truth().account(STORY.id).unwrap().policy.as_deref(), Some(policy::ENGINEERING));
}

#[tokio::test]
async fn limits_can_change_while_it_runs() {
    let world = World::start().await;
    world.truth().set_rate_limits(RateLimit::everywhere(1));
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 200);
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 429);
    world.truth().set_rate_limits(Vec::new());
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 200);
}
