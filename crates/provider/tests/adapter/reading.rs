use std::collections::BTreeMap;
use std::time::Duration;

use homeward_provider::{
    ErrorClass, Holder, IdentityProvider, Look, ManageCheck, ManageRefusal, Presence, Priority, Search, Sighting, TokenId,
};
use homeward_types::diagnosis::Claim;
use homeward_types::{AccountId, Clock, Factor, SystemClock};
use serde_json::{Value, json};

use super::stub::{Reply, Request, Stub, account, email, provider};

const EVIDENCE: Priority = Priority::Evidence;

fn ids(count: usize) -> Vec<AccountId> {
    (0..count).map(|n| account(&format!("id-{n}"))).collect()
}

fn placement(id: &str) -> Value {
    json!({"accountId": id, "email": format!("{id}@example.com"), "authPolicyInfo": {"policyId": "home", "dateAdded": 5}})
}

fn user(id: &str, email: &str) -> Value {
    json!({"accountId": id, "email": email, "claimStatus": "managed", "accountStatus": "active", "mfaEnabled": id.ends_with('1')})
}

#[tokio::test]
async fn placements_are_read_in_batches_and_dated_before_the_request() {
    let stub =
        Stub::start(|request| Reply::json(200, &request.list("accountIds").iter().map(|id| placement(id)).collect())).await;
    let before = SystemClock.now();
    let read = stub.provider().read_placements(&ids(250), EVIDENCE).await.expect("an answer");
    assert_eq!(read.len(), 250);
    assert!(read.iter().all(|placement| placement.begun_at >= before && placement.begun_at <= SystemClock.now()));
    let sizes: Vec<usize> = stub.seen().iter().map(|request| request.list("accountIds").len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 250);
    assert_eq!(sizes.len(), 3);
    assert!(stub.lines().iter().all(|line| line == "POST /admin/control/v1/orgs/org-1/users/auth-policies/bulk-fetch"));
}

#[tokio::test]
async fn an_unknown_account_is_missing_whether_it_is_left_out_or_spoils_the_read() {
    for spoils in [false, true] {
        let stub = Stub::start(move |request| {
            let ids = request.list("accountIds");
            let known: Value = ids.iter().filter(|id| *id != "id-7").map(|id| placement(id)).collect();
            let missing = ids.iter().any(|id| id == "id-7");
            if missing && spoils {
                Reply::json(404, &json!({"code": 404, "message": "no such account"}))
            } else {
                Reply::json(200, &known)
            }
        })
        .await;
        let read = stub.provider().read_placements(&ids(40), EVIDENCE).await.expect("an answer");
        assert_eq!(read.len(), 39);
        assert!(read.iter().all(|placement| placement.account != account("id-7")));
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_and_never_an_empty_list() {
    let replies = [
        Reply::html(200),
        Reply::status(200),
        Reply::json(200, &json!({"data": []})),
        Reply::CutInside(200, "[".into()),
        Reply::Whole(200, Vec::new(), "[{\"accountId\": \"id-".into()),
        Reply::html(404),
        Reply::status(404),
        Reply::Cut,
        Reply::Silence,
    ];
    for reply in replies {
        let stub = Stub::start({
            let reply = reply.clone();
            move |_| reply.clone()
        })
        .await;
        let error = stub.hasty_provider().read_placements(&ids(1), EVIDENCE).await.expect_err(&format!("{reply:?}"));
        assert!(error.proves_not_taken() && error.class != ErrorClass::Ambiguous, "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_cut_off_with_an_error() {
    for reply in [Reply::Endless(10_000_000), Reply::Whole(200, Vec::new(), " ".repeat(200_000))] {
        let stub = Stub::start(move |_| reply.clone()).await;
        let mut settings = stub.settings();
        settings.max_answer_bytes = 100_000;
        settings.timeout = Duration::from_secs(20);
        let error = provider(settings).read_placements(&ids(1), EVIDENCE).await.expect_err("too large");
        assert!(error.sentence.contains("larger than max_answer_bytes"), "{error}");
    }
}

fn search(request: &Request) -> Vec<Value> {
    // p5's address was taken over by someone else; p5 itself has a new one.
    let by_email = request.list("emails").into_iter().map(|email| {
        let id = email.trim_start_matches('p').split('@').next().unwrap_or_default().to_owned();
        if id == "5" { user("stranger", &email) } else { user(&format!("id-{id}"), &email) }
    });
    let by_id = request.list("accountIds").into_iter().map(|id| user(&id, "new@example.com"));
    by_email.chain(by_id).collect()
}

#[tokio::test]
async fn factors_are_read_by_address_and_by_id_only_where_the_address_is_no_longer_theirs() {
    let stub = Stub::start(|request| Reply::json(200, &json!({"data": search(request), "links": {}}))).await;
    let mut holders: Vec<Holder> = (0..250)
        .map(|n| Holder { account: account(&format!("id-{n}")), email: Some(email(&format!("p{n}@example.com"))) })
        .collect();
    holders.push(Holder { account: account("id-1000"), email: None });
    let read = stub.provider().read_factors(&holders, EVIDENCE).await.expect("an answer");
    assert_eq!(read.len(), 251);
    assert!(read.iter().all(|reading| reading.account != account("stranger")));
    for reading in &read {
        let expected = if reading.account.as_str().ends_with('1') { Factor::Enrolled } else { Factor::Absent };
        assert_eq!(reading.factor, expected, "{}", reading.account);
    }
    assert_eq!(stub.seen().len(), 4, "three by address, one by id");
    assert_eq!(stub.lines()[0], "POST /admin/v2/orgs/org-1/directories/-/users/search");
}

#[tokio::test]
async fn a_search_follows_its_pages_and_stops_at_a_circle() {
    let stub = Stub::start(|request| match request.body.get("cursor").and_then(Value::as_str) {
        None => Reply::json(200, &json!({"data": [user("a", "a@x.com")], "links": {"next": "two"}})),
        Some("two") => Reply::json(200, &json!({"data": [user("b", "b@x.com")], "links": {"next": "two"}})),
        Some(_) => Reply::status(400),
    })
    .await;
    let found = stub.provider().find_accounts(Search::Emails(&[email("a@x.com")]), EVIDENCE).await.expect("an answer");
    assert_eq!(found.len(), 2);
    assert_eq!(stub.seen().len(), 2);
}

#[tokio::test]
async fn an_account_that_is_not_managed_says_what_is_missing() {
    let stub = Stub::start(|request| {
        if request.line.contains("/domains") {
            let domain = |name: &str, status: &str| json!({"attributes": {"name": name, "claim": {"status": status}}});
            let first = !request.line.contains("cursor");
            let data = if first { vec![domain("open.com", "unverified")] } else { vec![domain("own.com", "verified")] };
            let next = if first { json!("https://api.atlassian.com/x?cursor=2") } else { Value::Null };
            return Reply::json(200, &json!({"data": data, "links": {"next": next}}));
        }
        let mut own = user("a", "a@own.com");
        let mut open = user("b", "b@open.com");
        own["claimStatus"] = json!("unmanaged");
        open["claimStatus"] = json!("unmanaged");
        Reply::json(200, &json!({"data": [own, open, user("c", "c@own.com")]}))
    })
    .await;
    let provider = stub.provider();
    for _ in 0..2 {
        let found = provider.find_accounts(Search::Term("a"), EVIDENCE).await.expect("an answer");
        let claims: Vec<_> = found.into_iter().map(|record| record.claim).collect();
        assert_eq!(claims, [Some(Claim::NotClaimed), Some(Claim::DomainNotVerified), Some(Claim::Managed)]);
    }
    assert_eq!(stub.lines().iter().filter(|line| line.contains("/domains")).count(), 2, "both pages, once");
}

#[tokio::test]
async fn gone_needs_the_providers_own_word_from_two_different_calls() {
    let stub = Stub::start(|request| match request.line.as_str() {
        line if line.contains("/users/search") => Reply::json(200, &json!({"data": []})),
        line if line.contains("/users/gateway/") => Reply::html(404),
        line if line.contains("/users/unclaimed/") => {
            Reply::json(403, &json!({"key": "forbidden.unclaimedDomain", "context": {"domain": "x.com"}}))
        }
        line if line.contains("/users/synced/") => {
            Reply::json(200, &json!({"lifecycle.enablement": {"allowed": false, "reason": {"key": "externalDirectory.scim"}}}))
        }
        line if line.contains("/users/scoped/") => {
            Reply::json(403, &json!({"key": "forbidden.insufficientScope", "context": {}}))
        }
        line if line.contains("/directories/-/users/scoped") => Reply::json(200, &json!({"data": user("scoped", "s@x.com")})),
        _ => Reply::json(404, &json!({"key": "notFound", "context": {}})),
    })
    .await;
    let provider = stub.provider();
    let look = async |id: &str, by| provider.presence(&[account(id)], by, EVIDENCE).await.remove(0).presence.ok();
    assert_eq!(look("any", Look::Search).await, Some(Presence::NotFound));
    assert_eq!(look("gone", Look::Itself).await, Some(Presence::NotFound));
    assert_eq!(look("gateway", Look::Itself).await, None, "a gateway's page proves nothing");
    assert_eq!(look("unclaimed", Look::Itself).await, Some(Presence::NotManaged));
    assert_eq!(look("synced", Look::Itself).await, Some(Presence::Managed));
    assert_eq!(look("scoped", Look::Itself).await, Some(Presence::Managed), "by its page in the directory");
    let check = provider.may_manage(&account("synced"), EVIDENCE).await.expect("an answer");
    assert!(matches!(check, ManageCheck::MayNot(ManageRefusal::SyncedFrom(_))));
}

/// How each was seen: there, gone, or an error.
fn seen(sightings: &[Sighting]) -> BTreeMap<String, &'static str> {
    let word = |sighting: &Sighting| match &sighting.presence {
        Ok(Presence::Managed) => "ours",
        Ok(Presence::NotManaged) => "not ours",
        Ok(Presence::NotFound) => "gone",
        Err(_) => "error",
    };
    sightings.iter().map(|sighting| (sighting.account.as_str().to_owned(), word(sighting))).collect()
}

#[tokio::test]
async fn a_search_that_is_refused_for_one_id_is_made_for_the_others() {
    let stub = Stub::start(|request| {
        let ids = request.list("accountIds");
        if ids.iter().any(|id| id == "id-13") {
            return Reply::json(400, &json!({"errors": [{"code": "X", "title": "no such id"}]}));
        }
        let there = ids.iter().filter(|id| *id != "id-5");
        Reply::json(200, &json!({"data": there.map(|id| user(id, "a@x.com")).collect::<Vec<_>>()}))
    })
    .await;
    let mut asked = ids(25);
    asked.push(account("id-3")); // twice
    let sightings = stub.provider().presence(&asked, Look::Search, EVIDENCE).await;
    assert_eq!(sightings.len(), 25, "each once");
    for (id, saw) in seen(&sightings) {
        let expected = if id == "id-5" {
            "gone"
        } else if id == "id-13" {
            "error"
        } else {
            "ours"
        };
        assert_eq!(saw, expected, "{id}");
    }
    assert!(stub.seen().len() <= 3 + 8, "{} searches", stub.seen().len());
}

#[tokio::test]
async fn one_accounts_error_does_not_keep_the_others_from_being_asked_for_but_a_refused_key_does() {
    let manage = |line: &str| !line.contains("/users/id-2/");
    let stub = Stub::start(move |request| {
        if manage(&request.line) {
            Reply::json(200, &json!({"lifecycle.enablement": {"allowed": true}}))
        } else {
            Reply::status(500)
        }
    })
    .await;
    let sightings = stub.provider().presence(&ids(30), Look::Itself, EVIDENCE).await;
    assert_eq!(seen(&sightings).into_iter().filter(|(_, saw)| *saw != "ours").collect::<Vec<_>>(), [("id-2".into(), "error")]);
    assert_eq!(stub.seen().len(), 30);
    let stub = Stub::start(|_| Reply::json(401, &json!({"code": 401, "message": "no"}))).await;
    let sightings = stub.provider().presence(&ids(30), Look::Itself, EVIDENCE).await;
    assert!(
        seen(&sightings).len() == 30
            && sightings.iter().all(|sighting| {
                sighting.presence.as_ref().is_err_and(|error| error.class == ErrorClass::PermanentForOrganisation)
            })
    );
    assert!(stub.seen().len() <= 8, "the rest was not sent: {}", stub.seen().len());
}

#[tokio::test]
async fn what_is_so_already_counts_as_done() {
    let stub = Stub::start(|request| match request.line.as_str() {
        line if line.contains("profile") => {
            let status = if line.contains("off") { "inactive" } else { "active" };
            Reply::json(200, &json!({"account": {"account_status": status}}))
        }
        line if line.contains("api-tokens") => Reply::json(404, &json!({"key": "notFound", "context": {}})),
        _ => Reply::json(409, &json!({"key": "conflict.lifecycleErrors", "context": {"message": "cannot"}})),
    })
    .await;
    let provider = stub.provider();
    assert!(provider.disable(&account("off"), "why", EVIDENCE).await.is_ok());
    assert!(provider.enable(&account("on"), EVIDENCE).await.is_ok());
    assert!(provider.delete_token(&account("on"), &TokenId::new("t"), EVIDENCE).await.is_ok());
    let error = provider.disable(&account("on"), "why", EVIDENCE).await.expect_err("it is active still");
    assert_eq!(error.status, Some(409));
    let posted = stub.seen().into_iter().find(|request| request.line.contains("lifecycle/disable")).expect("it was asked");
    assert_eq!(posted.body, json!({"message": "why"}));
}
