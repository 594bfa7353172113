use homeward_provider::{ErrorClass, IdentityProvider, Priority};
use secrecy::SecretString;
use serde_json::json;

use super::stub::{KEY, Reply, Stub, account, provider};

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let other = Stub::start(|_| Reply::json(200, &json!([]))).await;
    for status in [301, 302, 303, 307, 308] {
        let to = other.url.clone();
        let stub = Stub::start(move |_| Reply::status(status).header("location", to.clone())).await;
        let error = stub.provider().read_placements(&[account("a")], Priority::Evidence).await.expect_err("a redirect");
        assert_eq!(error.class, ErrorClass::PermanentForOrganisation);
        assert!(error.sentence.contains("base_url"), "{error}");
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_link_in_an_answer_is_never_followed() {
    let other = Stub::start(|_| Reply::json(200, &json!({"data": []}))).await;
    let link = format!("{}admin/v1/orgs/org-1/users?cursor=two", other.url);
    let stub = Stub::start(move |_| Reply::json(200, &json!({"data": [{"account_id": "a"}], "links": {"next": link}}))).await;
    let provider = stub.provider();
    let page = provider.page_accounts(None, Priority::Sync).await.expect("a page");
    let next = page.next.expect("another page");
    provider.page_accounts(Some(&next), Priority::Sync).await.expect_err("the same cursor again");
    assert_eq!(stub.lines(), ["GET /admin/v1/orgs/org-1/users", "GET /admin/v1/orgs/org-1/users?cursor=two"]);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_read_that_refuses_the_key_with_scopes_is_tried_once_with_the_other_and_that_is_remembered() {
    let stub = Stub::start(|request| {
        if request.bearer() == Some("without") {
            Reply::json(200, &json!([]))
        } else {
            Reply::json(403, &json!({"code": 403, "message": "no"}))
        }
    })
    .await;
    let mut settings = stub.settings();
    settings.unscoped_key = Some(SecretString::from("without"));
    let provider = provider(settings);
    for _ in 0..3 {
        provider.read_placements(&[account("a")], Priority::Evidence).await.expect("the second key works");
    }
    let keys: Vec<_> = stub.seen().iter().map(|request| request.bearer().unwrap_or_default().to_owned()).collect();
    assert_eq!(keys, [KEY, "without", "without", "without"]);
}

#[tokio::test]
async fn user_management_gets_the_key_without_scopes() {
    let stub = Stub::start(|_| Reply::json(200, &json!([]))).await;
    let mut settings = stub.settings();
    settings.unscoped_key = Some(SecretString::from("without\n"));
    provider(settings).list_tokens(&account("557058:a|b"), Priority::Return).await.expect("an empty list");
    assert_eq!(stub.lines(), ["GET /users/557058%3Aa%7Cb/manage/api-tokens"]);
    assert_eq!(stub.seen()[0].bearer(), Some("without"));
}

#[tokio::test]
async fn a_key_that_the_provider_repeats_is_not_passed_on() {
    let stub = Stub::start(|_| Reply::json(401, &json!({"code": 401, "message": format!("bad key {KEY}")}))).await;
    let error = stub.provider().read_placements(&[account("a")], Priority::Evidence).await.expect_err("refused");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("bad key (a key)") && !shown.contains(KEY), "{shown}");
    assert_eq!(error.class, ErrorClass::PermanentForOrganisation);
}
