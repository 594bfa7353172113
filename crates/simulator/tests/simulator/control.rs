//! The control side over HTTP: its token, the ground truth and its log, changes behind the back, settings.

use std::io::Write;

use homeward_simulator::well_known::{MIA_BERG, ORGANISATION, OTHER_MIA_BERG, STORY, policy};
use homeward_simulator::{AccountTruth, Cause, Claim, Demand, Effect, Fact, FaultState, Info, Membership, Settings};
use homeward_simulator::{Simulator, SimulatorConfig, StartError, Status, Summary, TruthPage};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::world::World;

/// What must be seen of an account after a change.
type Seen = fn(&AccountTruth) -> bool;

async fn read<T: DeserializeOwned>(world: &World, path: &str) -> T {
    let response = world.control(Method::GET, path, None).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

async fn change(world: &World, id: &str, what: &str, details: Value) -> u16 {
    world.control(Method::POST, &format!("/accounts/{id}/{what}"), Some(details)).await.status().as_u16()
}

#[tokio::test]
async fn the_control_side_needs_its_token_and_the_provider_side_knows_nothing_of_it() {
    let world = World::start().await;
    let truth = format!("{}/truth", world.running.control_url);
    assert_eq!(world.http.get(&truth).send().await.unwrap().status(), 401);
    assert_eq!(world.http.get(&truth).bearer_auth("wrong").send().await.unwrap().status(), 401);
    assert_eq!(world.call(Method::GET, "/truth", None).await.status(), 404);
    assert_eq!(world.control(Method::GET, "/truth", None).await.status(), 200);
}

#[tokio::test]
async fn it_says_what_the_simulator_is() {
    let world = World::start().await;
    let info: Info = read(&world, "/info").await;
    assert_eq!(info, world.running.info());
    assert_eq!((info.organisation.as_str(), info.managed), (ORGANISATION, 849));
    assert_eq!(info.provider_url, world.running.provider_url);
    assert_eq!(info.policies.len(), 6);
}

#[tokio::test]
async fn the_truth_comes_in_pages_or_by_id() {
    let world = World::start().await;
    let some: TruthPage = read(&world, &format!("/truth?accounts={},nobody,{}", STORY.id, MIA_BERG.id)).await;
    assert_eq!(some.accounts.iter().map(|account| account.id.as_str()).collect::<Vec<_>>(), [STORY.id, MIA_BERG.id]);
    let posted = world.control(Method::POST, "/truth", Some(json!([STORY.id]))).await.json::<TruthPage>().await.unwrap();
    assert_eq!(posted.accounts, some.accounts[..1]);
    let (mut cursor, mut seen) = (Some(0), 0);
    while let Some(at) = cursor {
        let page: TruthPage = read(&world, &format!("/truth?cursor={at}&limit=200")).await;
        seen += page.accounts.len();
        cursor = page.next;
    }
    assert_eq!(seen, world.running.info().accounts);
}

#[tokio::test]
async fn the_digest_of_the_others_changes_with_any_fact_of_any_other() {
    let world = World::start().await;
    let summary = async |exclude: &str| read::<Summary>(&world, &format!("/truth/summary?exclude={exclude}")).await;
    let before = summary(STORY.id).await;
    assert_eq!(before.managed, 848);
    assert_eq!(change(&world, STORY.id, "factor", json!({ "enrolled": true })).await, 200);
    assert_eq!(summary(STORY.id).await.digest, before.digest);
    let changes = [
        ("rename", json!({ "name": "Somebody Else" })),
        ("email", json!({ "email": "else@northwind.example" })),
        ("suspend", json!({})),
        ("deactivate", json!({})),
        ("move", json!({ "policy": policy::GUESTS })),
        ("factor", json!({ "enrolled": false })),
        ("token", json!({ "label": "t" })),
        ("administrator", json!({ "administrator": true })),
        ("unclaim", json!({})),
        ("delete", json!({})),
    ];
    let mut last = before.digest.clone();
    for (what, details) in changes {
        assert!(matches!(change(&world, MIA_BERG.id, what, details).await, 200 | 204), "{what}");
        let now = summary(STORY.id).await.digest;
        assert_ne!(now, last, "{what}");
        last = now;
    }
    let posted = world.control(Method::POST, "/truth/summary", Some(json!([STORY.id, MIA_BERG.id]))).await;
    assert_ne!(posted.json::<Summary>().await.unwrap().digest, last, "the deleted one can be excluded too");
}

#[tokio::test]
async fn changes_behind_the_back_are_seen_and_logged() {
    let world = World::start().await;
    let table: [(&str, Value, Seen); 9] = [
        ("rename", json!({ "name": "Sam Smith" }), |account| account.name == "Sam Smith"),
        ("email", json!({ "email": "Sam.Smith@northwind.example" }), |account| account.email == "sam.smith@northwind.example"),
        ("suspend", json!({}), |account| account.membership == Membership::Suspended),
        ("restore", json!({}), |account| account.membership == Membership::Active),
        ("deactivate", json!({}), |account| account.status == Status::Inactive),
        ("reactivate", json!({}), |account| account.status == Status::Active),
        ("factor", json!({ "enrolled": true, "lost": true }), |account| account.factor && account.lost),
        ("unclaim", json!({}), |account| account.claim == Claim::Unmanaged && account.policy.is_none()),
        ("claim", json!({}), |account| account.policy.as_deref() == Some(policy::EVERYONE)),
    ];
    for (what, details, seen) in table {
        let response = world.control(Method::POST, &format!("/accounts/{}/{what}", STORY.id), Some(details)).await;
        assert!(seen(&response.json::<AccountTruth>().await.unwrap()), "{what}");
    }
    let log: Vec<Effect> = read(&world, &format!("/truth/log?since=0&account={}", STORY.id)).await;
    assert!(log.iter().all(|effect| effect.cause == Cause::Drift && effect.account == STORY.id));
    let numbers: Vec<u64> = log.iter().map(|effect| effect.number).collect();
    assert_eq!(numbers, (1..=log.len() as u64).collect::<Vec<_>>());
    let rest: Vec<Effect> = read(&world, "/truth/log?since=1&limit=1").await;
    assert_eq!((rest.len(), rest[0].fact), (1, Fact::Email));
}

#[tokio::test]
async fn two_accounts_can_swap_their_addresses() {
    let world = World::start().await;
    assert_eq!(change(&world, MIA_BERG.id, "swap-email", json!({ "with": OTHER_MIA_BERG.id })).await, 200);
    assert_eq!(world.find(MIA_BERG.email).await["accountId"], OTHER_MIA_BERG.id);
    assert_eq!(world.find(OTHER_MIA_BERG.email).await["accountId"], MIA_BERG.id);
    assert_eq!(change(&world, MIA_BERG.id, "email", json!({ "email": MIA_BERG.email })).await, 409, "taken");
}

#[tokio::test]
async fn a_deleted_account_is_found_by_no_call() {
    let world = World::start().await;
    assert_eq!(change(&world, STORY.id, "delete", json!({})).await, 204);
    assert!(world.find(STORY.email).await.is_null());
    assert!(world.placements(&[STORY.id]).await.is_empty());
    assert_eq!(world.call(Method::GET, &format!("/users/{}/manage", STORY.id), None).await.status(), 404);
    assert_eq!(world.truth().summary([]).managed, 848);
    let log = world.truth().log(0);
    assert_eq!((log[0].fact, log[0].to.as_deref()), (Fact::Existence, Some("gone")));
}

#[tokio::test]
async fn a_home_can_be_deleted_or_stop_being_mandatory() {
    let world = World::start().await;
    let post = async |path: &str, body: Option<Value>| world.control(Method::POST, path, body).await.status().as_u16();
    assert_eq!(post(&format!("/policies/{}/demand", policy::ENGINEERING), Some(json!({ "demand": "optional" }))).await, 204);
    let engineering = world.truth().policies().into_iter().find(|known| known.id == policy::ENGINEERING).unwrap();
    assert_eq!(engineering.demand, Demand::Optional);
    assert_eq!(post(&format!("/policies/{}/delete", policy::EVERYONE), None).await, 204);
    let heir = world.truth().account(STORY.id).unwrap().policy;
    assert_eq!(heir.as_deref(), Some(policy::UNMAPPED), "the next mandatory policy is the default now");
    assert_eq!(post(&format!("/policies/{}/delete", policy::EVERYONE), None).await, 404);
    assert_eq!(post(&format!("/policies/{}/delete", policy::UNMAPPED), None).await, 409, "the last one stays");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_sentence() {
    let world = World::start().await;
    for (path, body, status) in [
        (format!("/accounts/{}/explode", STORY.id), json!({}), 400),
        (format!("/accounts/{}/rename", STORY.id), json!({ "nome": "x" }), 400),
        ("/accounts/nobody/suspend".to_owned(), json!({}), 404),
        (format!("/accounts/{}/move", STORY.id), json!({ "policy": "none" }), 404),
        ("/faults".to_owned(), json!({ "what": { "kind": "no_such_kind" } }), 400),
        ("/faults".to_owned(), json!({ "what": { "kind": "outage" }, "probability": 2.0 }), 400),
        ("/keys/none/revoke".to_owned(), json!({}), 404),
    ] {
        let response = world.control(Method::POST, &path, Some(body)).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.json::<Value>().await.unwrap()["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn faults_are_set_counted_and_taken_away_over_http() {
    let world = World::start().await;
    let set = world
        .control(Method::POST, "/faults", Some(json!({ "path": "orgs", "what": { "kind": "server_error" }, "count": 2 })))
        .await;
    assert_eq!(set.json::<Value>().await.unwrap(), json!({ "numbers": [1] }));
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 500);
    let states: Vec<FaultState> = read(&world, "/faults").await;
    assert_eq!((states[0].fired, states[0].live), (1, true));
    assert_eq!(world.control(Method::DELETE, "/faults/1", None).await.json::<Value>().await.unwrap(), json!({ "cleared": 1 }));
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 200);
    let chaos = world.control(Method::POST, "/faults/chaos", Some(json!({ "probability": 0.01, "late_ms": 1000 }))).await;
    let numbers = chaos.json::<Value>().await.unwrap()["numbers"].as_array().unwrap().len();
    let cleared = world.control(Method::DELETE, "/faults", None).await.json::<Value>().await.unwrap();
    assert_eq!(cleared["cleared"], numbers);
    let states: Vec<FaultState> = read(&world, "/faults").await;
    assert!(states.len() == numbers + 1 && states.iter().all(|state| !state.live), "what was set stays on record");
}

#[tokio::test]
async fn settings_can_change_while_it_runs() {
    let world = World::start().await;
    let mut settings: Settings = read(&world, "/settings").await;
    settings.batch_limit = Some(1);
    let put = world.control(Method::PUT, "/settings", Some(serde_json::to_value(settings).unwrap())).await;
    assert_eq!(put.status(), 204);
    let body = json!({ "users": [STORY.email, MIA_BERG.email] });
    assert_eq!(world.call(Method::POST, &World::add_users_path(policy::RECOVERY), Some(body)).await.status(), 400);
    let limits = json!([{ "path": "orgs", "per_minute": 0 }]);
    assert_eq!(world.control(Method::PUT, "/rate-limits", Some(limits)).await.status(), 204);
    assert_eq!(world.call(Method::GET, "/admin/v1/orgs", None).await.status(), 429);
}

#[tokio::test]
async fn an_organisation_can_come_from_an_export() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        b"Name,Email,Last active,Status,Billable,Policy name,Policy type,SAML SSO,Two-step verification\n\
          Ana Diaz,Ana.Diaz@northwind.example,2026-11-02,Active,Yes,Everyone,Default,No,Enabled\n\
          Bo Lind,bo.lind@northwind.example,Never accessed,Deactivated,No,Field staff,Standard,No,Not enabled\n\
          Cy Ode,cy.ode@northwind.example,2026-10-01,Active,Yes,Okta,Standard,Yes,Not enabled\n",
    )
    .unwrap();
    let world = World::with(SimulatorConfig { csv: Some(file.path().to_owned()), ..SimulatorConfig::default() }).await;
    let truth = world.truth();
    let account = |email: &str| truth.by_email(email).unwrap();
    let ana = account("ana.diaz@northwind.example");
    assert!(ana.factor && ana.policy.as_deref() == Some(policy::EVERYONE) && ana.last_active.is_some());
    let bo = account("bo.lind@northwind.example");
    assert_eq!((bo.demand, bo.status, bo.last_active, bo.factor), (Some(Demand::Mandatory), Status::Inactive, None, false));
    assert_eq!(account("cy.ode@northwind.example").demand, Some(Demand::Delegated));
    assert_eq!(account(STORY.email).id, STORY.id, "the well-known people are there too");

    let bad = SimulatorConfig { csv: Some("/nowhere/accounts.csv".into()), ..SimulatorConfig::default() };
    assert!(matches!(Simulator::start(bad).await, Err(StartError::Csv(_))));
}

#[tokio::test]
async fn a_stopped_simulator_frees_its_ports() {
    let world = World::start().await;
    let (provider, control) = (world.running.provider_url.clone(), world.running.control_url.clone());
    world.running.shutdown().await;
    assert!(world.http.get(format!("{provider}/admin/v1/orgs")).send().await.unwrap_err().is_connect());
    let address = |url: &str| url.strip_prefix("http://").unwrap().parse().unwrap();
    let again = SimulatorConfig { listen: address(&provider), control_listen: address(&control), ..SimulatorConfig::default() };
    let again = Simulator::start(again).await.unwrap();
    assert_eq!(again.provider_url, provider);
    for (time_scale, batch_limit) in [(0.0, None), (f64::NAN, None), (1.0, Some(0))] {
        let impossible = SimulatorConfig { time_scale, batch_limit, ..SimulatorConfig::default() };
        assert!(matches!(Simulator::start(impossible).await, Err(StartError::Setting { .. })));
    }
}
