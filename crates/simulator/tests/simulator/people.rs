//! What people see: the rules of signing in, enrolling and resetting, on pages and as JSON, for one or many.

use homeward_simulator::well_known::{
    DEACTIVATED, FACTOR_CODE, GUEST, HELP_DESK, LOST_PHONE, PASSWORD, SINGLE_SIGN_ON, STORY, SUSPENDED, UNMANAGED, policy,
};
use homeward_simulator::{
    Demand, Drift, EnrolAnswer, Enrolment, Reset, ResetAnswer, SignIn, SignInAnswer, SimulatorConfig, well_known,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn the_rules_of_signing_in() {
    let world = World::start().await;
    let password =
        |email: &str, password: &str, code: Option<&str>| json!({ "email": email, "password": password, "code": code });
    let table = [
        (password("nobody@northwind.example", PASSWORD, None), SignIn::NoSuchAccount),
        (password(STORY.email, "wrong", None), SignIn::WrongPassword),
        (password(STORY.email, PASSWORD, None), SignIn::Blocked),
        (password(STORY.email, PASSWORD, Some(FACTOR_CODE)), SignIn::Blocked),
        (password(HELP_DESK.email, PASSWORD, None), SignIn::CodeAsked),
        (password(HELP_DESK.email, PASSWORD, Some("000000")), SignIn::CodeRefused),
        (password(HELP_DESK.email, PASSWORD, Some(FACTOR_CODE)), SignIn::SignedIn),
        (password(HELP_DESK.email, "wrong", Some(FACTOR_CODE)), SignIn::WrongPassword),
        (password(LOST_PHONE.email, PASSWORD, Some(FACTOR_CODE)), SignIn::CodeRefused),
        (password(GUEST.email, PASSWORD, Some(FACTOR_CODE)), SignIn::CodeRefused),
        (password(SUSPENDED.email, PASSWORD, Some(FACTOR_CODE)), SignIn::AccountDisabled),
        (password(DEACTIVATED.email, PASSWORD, Some(FACTOR_CODE)), SignIn::AccountDisabled),
        (password(SINGLE_SIGN_ON.email, PASSWORD, None), SignIn::SingleSignOn),
        (password(UNMANAGED.email, PASSWORD, Some(FACTOR_CODE)), SignIn::SignedIn),
    ];
    for (body, expected) in table {
        let answer: SignInAnswer = serde_json::from_value(world.post("/fake/sign-in.json", body.clone()).await).unwrap();
        assert_eq!(answer.outcome, expected, "{body}");
        assert_eq!(answer.session.is_some(), expected == SignIn::SignedIn);
        assert!(!answer.message.is_empty());
    }
}

#[tokio::test]
async fn a_policy_without_a_demand_lets_in_who_has_no_factor() {
    let world = World::start().await;
    for (id, expected) in [
        (policy::RECOVERY, SignIn::SignedIn),
        (policy::GUESTS, SignIn::SignedIn),
        (policy::ENGINEERING, SignIn::Blocked),
        (policy::UNMAPPED, SignIn::Blocked),
        (policy::SINGLE_SIGN_ON, SignIn::SingleSignOn),
        (policy::EVERYONE, SignIn::Blocked),
    ] {
        world.truth().drift(STORY.id, Drift::Move { policy: id.into() }).unwrap();
        assert_eq!(world.sign_in(STORY.email, None).await.outcome, expected, "{id}");
    }
    world.truth().set_demand(policy::EVERYONE, Demand::Optional).unwrap();
    assert_eq!(world.sign_in(STORY.email, None).await.outcome, SignIn::SignedIn, "the way that nobody should take");
}

#[tokio::test]
async fn only_who_is_signed_in_can_enrol_and_a_move_back_ends_no_session() {
    let world = World::start().await;
    assert_eq!(world.enrol("00000000000000aa").await, Enrolment::NotSignedIn);
    world.move_to(policy::RECOVERY, &[STORY.email]).await;
    let session = world.sign_in(STORY.email, None).await.session.unwrap();
    world.move_to(policy::EVERYONE, &[STORY.email]).await;
    assert_eq!(world.enrol(&session).await, Enrolment::Enrolled);
    assert!(world.truth().account(STORY.id).unwrap().factor);
    assert_eq!(world.sign_in(STORY.email, Some(FACTOR_CODE)).await.outcome, SignIn::SignedIn);
}

#[tokio::test]
async fn the_reset_button_is_there_only_where_it_can_help() {
    let world = World::start().await;
    let page = async |id: &str| world.http.get(world.running.admin_page(id)).send().await.unwrap().text().await.unwrap();
    for (person, shown) in [(STORY, false), (LOST_PHONE, false), (SINGLE_SIGN_ON, false), (UNMANAGED, false), (GUEST, true)] {
        let html = page(person.id).await;
        assert_eq!(html.contains("Reset two-step verification"), shown, "{}", person.name);
        assert!(html.contains(person.email));
    }
    assert!(page(STORY.id).await.contains("<dt>Two-step verification</dt><dd>Not enabled</dd>"));
    assert!(page(LOST_PHONE.id).await.contains("<dt>Two-step verification</dt><dd>Enabled</dd>"));
    assert!(page(LOST_PHONE.id).await.contains("<dt>Authentication policy</dt><dd>Everyone</dd>"));
    for (person, outcome) in [(STORY, Reset::PolicyMandatory), (SINGLE_SIGN_ON, Reset::PolicyDelegated), (GUEST, Reset::Reset)] {
        assert_eq!(world.reset(person.id).await.1, outcome, "{}", person.name);
    }
    assert_eq!(world.call(Method::GET, "/fake/admin/users/nobody", None).await.status(), 404);
}

#[tokio::test]
async fn the_pages_work_as_a_browser_uses_them() {
    let world = World::start().await;
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let encode = |(name, value): &(&str, &str)| [*name, "=", &value.replace(' ', "+").replace('@', "%40"), "&"].concat();
        let body = fields.iter().map(encode).collect::<Vec<_>>().concat();
        let request = world.http.post(format!("{}{path}", world.running.provider_url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let first = world.call(Method::GET, "/fake/sign-in?email=lena.fischer%40northwind.example", None).await.text().await.unwrap();
    assert!(first.contains("value=\"lena.fischer@northwind.example\""));
    let (status, html) = form("/fake/sign-in", &[("email", STORY.email), ("password", PASSWORD)]).await;
    assert_eq!(status, 403);
    assert!(html.contains("data-outcome=\"blocked\""), "{html}");
    let (status, html) = form("/fake/sign-in", &[("email", LOST_PHONE.email), ("password", PASSWORD)]).await;
    assert!(status == 200 && html.contains("name=\"code\""), "{html}");
    assert_eq!(form("/fake/sign-in", &[("email", LOST_PHONE.email)]).await.0, 401, "an empty password is a wrong one");

    world.move_to(policy::RECOVERY, &[LOST_PHONE.email]).await;
    let (status, _) = form(&format!("/fake/admin/users/{}/reset", LOST_PHONE.id), &[]).await;
    assert_eq!(status, 303, "back to the page");
    assert_eq!(form(&format!("/fake/admin/users/{}/reset", LOST_PHONE.id), &[]).await.0, 409, "the button is gone");
    let (status, html) = form("/fake/sign-in", &[("email", LOST_PHONE.email), ("password", PASSWORD)]).await;
    assert_eq!(status, 200);
    let session = html.split("name=\"session\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let (status, html) = form("/fake/enrol", &[("session", session)]).await;
    assert!(status == 200 && html.contains("data-outcome=\"enrolled\""), "{html}");
    assert_eq!(form("/fake/enrol", &[("session", "0")]).await.0, 401);
}

#[tokio::test]
async fn names_cannot_write_html() {
    let world = World::start().await;
    world.truth().drift(STORY.id, Drift::Rename { name: "<script>alert(1)</script>".into() }).unwrap();
    let html = world.call(Method::GET, &format!("/fake/admin/users/{}", STORY.id), None).await.text().await.unwrap();
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"));
    let path = "/fake/sign-in?email=%22%3E%3Cscript%3E";
    assert!(!world.call(Method::GET, path, None).await.text().await.unwrap().contains("<script>"));
}

#[tokio::test]
async fn many_people_can_act_in_one_request() {
    let world = World::with(SimulatorConfig { stranded: 50, lost_phones: 50, ..SimulatorConfig::default() }).await;
    let emails: Vec<String> = (1..=50).flat_map(|n| [well_known::stranded_email(n), well_known::lost_phone_email(n)]).collect();
    world.move_to(policy::RECOVERY, &emails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let truth = world.truth();
    let lost: Vec<String> = (1..=50).map(|n| truth.by_email(&well_known::lost_phone_email(n)).unwrap().id).collect();
    let resets = world.post("/fake/admin/reset.json", json!({ "accountIds": lost })).await;
    let resets: Vec<ResetAnswer> = serde_json::from_value(resets).unwrap();
    assert!(resets.len() == 50 && resets.iter().all(|answer| answer.outcome == Reset::Reset));
    let people: Vec<Value> = emails.iter().map(|email| json!({ "email": email })).collect();
    let signed_in: Vec<SignInAnswer> = serde_json::from_value(world.post("/fake/sign-in.json", json!(people)).await).unwrap();
    assert!(signed_in.len() == 100 && signed_in.iter().all(|answer| answer.outcome == SignIn::SignedIn));
    let enrolled: Vec<EnrolAnswer> = serde_json::from_value(world.post("/fake/enrol.json", json!(people)).await).unwrap();
    assert!(enrolled.len() == 100 && enrolled.iter().all(|answer| answer.outcome == Enrolment::Enrolled));
    assert_eq!(truth.log(0).len(), 100 + 50 + 100);
}
