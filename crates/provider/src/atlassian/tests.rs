//! Every parser over what is documented, and over anything.

use homeward_types::diagnosis::{AccountStatus, Claim};
use homeward_types::{Factor, PlacementVersion, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::settings::EventActions;
use super::{domains, events, keys, manage, moves, placements, users};
use crate::account::{Cursor, Origin};
use crate::care::{ManageCheck, ManageRefusal};
use crate::event::EventKind;
use crate::moving::TaskReport;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn user(extra: &Value) -> crate::account::AccountRecord {
    let mut entry = json!({"accountId": "557058:a", "email": "Mia@Example.com", "name": "Mia", "accountStatus": "active",
        "claimStatus": "managed", "membershipStatus": "active", "mfaEnabled": false, "managementSource": "invited"});
    for (key, value) in extra.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    users::user(&entry, NOW).expect("it has an id").record
}

#[test]
fn a_user_of_the_directory_is_read_word_by_word() {
    let mia = user(&json!({}));
    assert_eq!(mia.email.as_ref().map(homeward_types::Email::as_str), Some("mia@example.com"));
    assert_eq!((mia.claim, mia.status, mia.factor), (Some(Claim::Managed), Some(AccountStatus::Active), Factor::Absent));
    assert_eq!((mia.origin, mia.administrator), (Origin::Here, None));
    assert_eq!(user(&json!({"mfaEnabled": true})).factor, Factor::Enrolled);
    assert_eq!(user(&json!({"mfaEnabled": null})).factor, Factor::Unknown);
    assert_eq!(user(&json!({"mfaEnabled": true, "claimStatus": "unmanaged"})).factor, Factor::Unknown);
    assert_eq!(user(&json!({"membershipStatus": "suspended"})).status, Some(AccountStatus::Suspended));
    assert_eq!(user(&json!({"accountStatus": "inactive"})).status, Some(AccountStatus::Deactivated));
    assert_eq!(user(&json!({"accountStatus": "closed"})).status, Some(AccountStatus::Deleted));
    assert_eq!(user(&json!({"accountStatus": "odd"})).status, None);
    assert!(matches!(user(&json!({"managementSource": "synced"})).origin, Origin::SyncedFrom(_)));
    assert_eq!(user(&json!({"managementSource": null})).origin, Origin::Here);
    assert_eq!(user(&json!({"managementSource": "new"})).origin, Origin::Unknown);
    assert_eq!(user(&json!({"platformRoles": []})).administrator, Some(false));
    assert_eq!(user(&json!({"platformRoles": ["atlassian/org-admin"]})).administrator, Some(true));
    assert_eq!(user(&json!({"platformRoles": [{"id": "atlassian/org-admin"}]})).administrator, Some(true));
    assert_eq!(user(&json!({"email": "not an address"})).email, None);
}

#[test]
fn what_is_not_known_of_an_account_counts_as_the_careful_thing() {
    let known = user(&json!({"claimStatus": "odd", "accountStatus": "odd"})).known().expect("it has an address");
    assert_eq!((known.claim, known.status, known.administrator), (Claim::NotClaimed, AccountStatus::Suspended, true));
    assert_eq!(user(&json!({"email": null})).known(), None);
}

#[test]
fn both_kinds_of_paging_are_read() {
    let page =
        |next: Value| users::parse_managed_page(&json!({"data": [{"account_id": "a"}], "links": {"next": next}}), None, NOW);
    let cursor = |next: Value| page(next).expect("a page").next;
    let expected = Some(Cursor::new("c=1&x"));
    assert_eq!(cursor(json!("https://api.atlassian.com/admin/v1/orgs/o/users?limit=5&cursor=c%3D1%26x")), expected);
    assert_eq!(cursor(json!("/admin/v1/orgs/o/users?cursor=c%3D1%26x")), expected);
    assert_eq!(cursor(json!("c=1&x")), expected);
    assert_eq!(cursor(json!(null)), None);
    assert!(page(json!("https://api.atlassian.com/admin/v1/orgs/o/users")).is_err());
    let circle = json!({"data": [], "links": {"next": "again"}});
    assert!(users::parse_managed_page(&circle, Some(&Cursor::new("again")), NOW).is_err());
}

#[test]
fn a_placement_is_read_with_its_version() {
    let body = json!([
        {"accountId": "a", "email": "a@x.com", "name": "A", "authPolicyInfo": {"policyId": "p", "dateAdded": 1_623_868_831_000_i64}},
        {"accountId": "b", "authPolicyInfo": {}},
        {"accountId": "c", "authPolicyInfo": {"policyId": "no such/shape", "dateAdded": 5}},
        {"accountId": "d"},
        {"email": "nobody@x.com", "authPolicyInfo": {"policyId": "p"}},
    ]);
    let read = placements::parse_placements(&body, NOW).expect("a list");
    let ids: Vec<&str> = read.iter().map(|placement| placement.account.as_str()).collect();
    assert_eq!(ids, ["a", "b", "d"]);
    assert_eq!(read[0].version, Some(PlacementVersion(1_623_868_831_000)));
    assert!(read[1].policy.is_none() && read[1].version.is_none());
    assert!(placements::parse_placements(&json!({"data": []}), NOW).is_err());
}

#[test]
fn a_task_without_a_state_is_read_from_its_counters() {
    let task = |body: Value| moves::parse_task(&body).expect("an object");
    let running = TaskReport { running: true, succeeded: 0, failed: 0, failures: Vec::new() };
    assert_eq!(task(json!({})), running);
    assert_eq!(task(json!({"inProgressCount": 0, "successCount": 0, "failureCount": 0, "failureReasons": []})), running);
    assert!(task(json!({"inProgressCount": 1, "successCount": 5})).running);
    let done = task(json!({"inProgressCount": 0, "successCount": 2, "failureCount": 0, "failureReasons": []}));
    assert_eq!((done.running, done.succeeded, done.failed), (false, 2, 0));
    let failed = task(json!({"inProgressCount": 0, "failureCount": 2, "failureReasons": [{
        "emails": ["a@x.com", "B@X.com", 7], "details": {"status": 404, "title": "Not found", "detail": "a@x.com is not managed"}}]}));
    assert_eq!((failed.running, failed.failed, failed.failures.len()), (false, 2, 2));
    assert_eq!(failed.failures[1].email.as_str(), "b@x.com");
    assert_eq!(failed.failures[1].reason.detail, "(an address) is not managed");
    assert!(moves::parse_task(&json!([])).is_err());
    assert!(moves::parse_task_id(&json!({"taskId": "t-1", "taskLink": "https://elsewhere"})).is_ok());
    for bad in [json!({}), json!({"taskId": ""}), json!({"taskId": 7}), json!({"taskId": "a\nb"})] {
        assert!(moves::parse_task_id(&bad).is_err(), "{bad}");
    }
}

#[test]
fn what_the_key_may_not_do_says_why() {
    let check = |privilege: Value| manage::parse_manage(&json!({"lifecycle.enablement": privilege}));
    let refused = |key: &str| check(json!({"allowed": false, "reason": {"key": key}}));
    assert_eq!(check(json!({"allowed": true})), Ok(ManageCheck::May));
    assert_eq!(refused("authPolicy.saml"), Ok(ManageCheck::MayNot(ManageRefusal::SingleSignOn)));
    assert!(matches!(refused("externalDirectory.scim"), Ok(ManageCheck::MayNot(ManageRefusal::SyncedFrom(_)))));
    assert!(matches!(refused("managedAccount"), Ok(ManageCheck::MayNot(ManageRefusal::Other(_)))));
    assert!(check(json!({})).is_err());
    assert!(manage::parse_manage(&json!({})).is_err());
}

#[test]
fn a_token_that_cannot_be_read_does_not_look_deleted() {
    let tokens = manage::parse_tokens(&json!([{"id": "1", "label": "ci", "createdAt": "2026-11-24T03:00:00.000Z"}, {"id": "2"}]));
    let made: Vec<bool> = tokens.expect("a list").iter().map(|token| token.created_at.is_some()).collect();
    assert_eq!(made, [true, false]);
    assert!(manage::parse_tokens(&json!([{"label": "no id"}])).is_err());
    assert!(manage::parse_tokens(&json!({"data": []})).is_err());
}

#[test]
fn an_event_tells_whom_it_was_about() {
    let body = json!({"data": [
        {"id": "e1", "type": "events", "attributes": {"time": "2026-11-24T03:00:00Z", "action": "twosv_disabled_for_user",
            "actor": {"id": "admin-1"}, "context": [{"id": "ari:cloud:identity::user/557058:a", "type": "users", "attributes": {"email": "a@x.com"}},
            {"id": "p", "type": "policies"}]}},
        {"id": "e2", "attributes": {"time": "2026-11-24T03:01:00Z", "action": "user_login", "actor": {"id": "557058:a"}, "context": []}},
        {"id": "e3", "attributes": {"action": "no_time"}},
    ], "meta": {"next": "later"}});
    let page = events::parse_events(&body, None, &EventActions::default()).expect("a page");
    assert_eq!(page.next, Some(Cursor::new("later")));
    let seen: Vec<(EventKind, &str)> = page.events.iter().map(|event| (event.kind, event.subjects[0].as_str())).collect();
    assert_eq!(seen, [(EventKind::FactorRemoved, "557058:a"), (EventKind::SignedIn, "557058:a")]);
    assert_eq!(page.events[0].subject_emails.len(), 1);
    let asked = Cursor::new("kept");
    let last = events::parse_events(&json!({"data": []}), Some(&asked), &EventActions::default()).expect("a page");
    assert_eq!((last.next, last.more), (Some(asked), false));
}

#[test]
fn only_verified_domains_count() {
    let body = json!({"data": [
        {"attributes": {"name": "A.com", "claim": {"type": "dns", "status": "verified"}}},
        {"attributes": {"name": "b.com", "claim": {"type": "http", "status": "unverified"}}},
        {"attributes": {"name": "c.com"}}], "links": {"next": "https://api/x?cursor=2"}});
    assert_eq!(domains::parse_domains(&body), Ok((vec!["a.com".to_owned()], Some(Cursor::new("2")))));
}

#[test]
fn the_latest_activity_over_all_apps_counts() {
    let data = json!({"product_access": [{"last_active": "2026-01-02"}, {"last_active": "2026-03-04", "last_active_timestamp": "2026-03-04T05:06:07.000Z"}, {}]});
    assert_eq!(users::latest_activity(&data), super::json::parse_moment("2026-03-04T05:06:07Z"));
    assert_eq!(users::latest_activity(&json!(null)), None);
}

/// Keys that the parsers look for.
const KEYS: &str = "data links next meta accountId account_id email accountStatus claimStatus mfaEnabled platformRoles managementSource \
    authPolicyInfo policyId dateAdded taskId inProgressCount successCount failureCount failureReasons emails details \
    status title lifecycle.enablement allowed reason key id label createdAt attributes action actor context type time \
    name claim product_access last_active errors code message label expiresAt scopes revocationDate";

/// Any JSON, with a liking for the keys and values that the parsers look for.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["[a-z0-9:|-]{1,20}", "[a-z]{1,5}@[a-z]{1,5}\\.com", "(managed|verified|active|synced|users)"]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(
                prop_oneof![4 => proptest::sample::select(KEYS.split(' ').collect::<Vec<_>>()).prop_map(str::to_owned), 1 => any::<String>()],
                inner,
                0..8
            )
            .prop_map(Value::from_iter),
        ]
    })
}

/// A parser that is not in the property test below is one that nobody throws junk at.
#[test]
fn every_parser_meets_arbitrary_json() {
    let property = include_str!("tests.rs");
    let mut parsers = 0;
    for source in [
        include_str!("users.rs"),
        include_str!("placements.rs"),
        include_str!("moves.rs"),
        include_str!("manage.rs"),
        include_str!("events.rs"),
        include_str!("domains.rs"),
        include_str!("keys.rs"),
    ] {
        for part in source.split("fn parse_").skip(1) {
            let name = part.split('(').next().unwrap_or_default();
            assert!(property.contains(&format!("parse_{name}(&body")), "parse_{name} is not thrown junk at");
            parsers += 1;
        }
    }
    assert!(parsers >= 10, "only {parsers} were found");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_json_brings_a_parser_down(body in anything(), cursor in any::<String>()) {
        let asked = Cursor::new(cursor.clone());
        let _ = users::parse_managed_page(&body, Some(&asked), NOW);
        let _ = users::parse_search(&body, NOW);
        let _ = users::user(&body, NOW).map(|user| user.record.known());
        let _ = users::managed_account(&body, NOW);
        let _ = users::latest_activity(&body);
        let _ = users::cursor_of(&cursor);
        let _ = placements::parse_placements(&body, NOW);
        let _ = moves::parse_task(&body);
        let _ = moves::parse_task_id(&body);
        let _ = manage::parse_manage(&body);
        let _ = manage::parse_tokens(&body);
        let _ = manage::parse_privilege(&body, &cursor);
        let _ = keys::parse_keys(&body).map(|(found, _)| keys::ours(&found, &cursor).is_ok());
        let _ = events::parse_events(&body, Some(&asked), &EventActions::default());
        let _ = events::parse_actions(&body);
        let _ = domains::parse_domains(&body);
        let _ = super::fault::Fault::of(&serde_json::to_vec(&body).unwrap());
    }

    #[test]
    fn an_account_is_never_lost_from_a_list(ids in proptest::collection::btree_set("[a-z0-9]{1,12}", 0..20), junk in anything()) {
        let mut entries: Vec<Value> = ids.iter().map(|id| json!({"accountId": id, "authPolicyInfo": {"policyId": "p"}})).collect();
        entries.insert(entries.len() / 2, junk);
        let read = placements::parse_placements(&Value::from(entries.clone()), NOW).expect("a list");
        prop_assert!(ids.iter().all(|id| read.iter().any(|placement| placement.account.as_str() == id)));
        let found = users::parse_search(&json!({"data": entries}), NOW).expect("a list");
        prop_assert!(found.users.len() >= ids.len());
    }
}
