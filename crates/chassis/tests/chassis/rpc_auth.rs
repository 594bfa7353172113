//! Who may call.

use homeward_chassis::auth::{Bearer, PersonConfig, Persons, PersonsError, ServiceConfig};
use homeward_chassis::rpc::Refused;
use homeward_chassis::rpc::memory::Hub;
use homeward_types::Role;
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Request};

use crate::echo::{Echo, MIA_TOKEN, SERVICE_TOKEN, Say, call, memory_client, persons, say, serve, server};

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

#[tokio::test]
async fn a_call_without_a_known_token_does_not_reach_its_handler() {
    let hub = Hub::new();
    let _guard = serve(&hub, "echo", server(Echo::default()));
    let nobody = hub.client("echo");
    let refused = say(&nobody, "panic").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::Unauthenticated, "TOKEN_MISSING"));
    assert!(!refused.remedy.is_empty());
    let stranger = nobody.bearing(&Bearer::new("guessed").unwrap());
    let refused = say(&stranger, "panic").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::Unauthenticated, "TOKEN_UNKNOWN"));
}

#[tokio::test]
async fn a_forwarded_token_wins_over_the_clients_own() {
    let (client, _guard) = memory_client();
    assert_eq!(say(&client, "echo").await.unwrap().caller, "recovery");
    let mut request = Request::new(Say::new("echo"));
    Bearer::of(&headers(&format!("bearer {MIA_TOKEN}"))).unwrap().attach(&mut request);
    assert_eq!(call(&client, request).await.unwrap().into_inner().caller, "mia");
}

#[test]
fn a_caller_may_do_what_its_roles_say() {
    let mia = persons().identify(&headers(&format!("Bearer {MIA_TOKEN}"))).unwrap();
    assert!(mia.require(Role::Requester).is_ok());
    assert!(mia.require_any(&[Role::Operator, Role::Requester]).is_ok());
    let refused: Refused = mia.require_any(&[Role::Approver, Role::Operator]).unwrap_err();
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::PermissionDenied, "ROLE_MISSING"));
    assert_eq!(refused.message, "Mia may not do this: it takes the role approver or operator");
    let service = persons().identify(&headers(&format!("Bearer {SERVICE_TOKEN}"))).unwrap();
    assert!(service.require(Role::Service).is_ok() && service.require(Role::Operator).is_err());
}

#[test]
fn only_a_bearer_token_in_full_identifies() {
    for wrong in
        ["Basic bWlhOm1pYQ==", "Bearer", "Bearer ", MIA_TOKEN, "Bearer mia-toke", "Bearer mia-token2", "Bearer mia token"]
    {
        assert!(persons().identify(&headers(wrong)).is_err(), "{wrong:?}");
    }
    assert!(persons().identify(&HeaderMap::new()).is_err());
}

fn person(id: &str, tokens: &[&str]) -> PersonConfig {
    PersonConfig {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        email: None,
        roles: [Role::Approver].into(),
        accounts: [].into(),
        tokens_sha256: tokens.iter().map(|token| Bearer::new(token).unwrap().sha256()).collect(),
    }
}

#[test]
fn a_list_of_persons_that_would_confuse_them_is_refused() {
    let refused = |persons: &[PersonConfig]| Persons::from_config(persons).unwrap_err();
    let (ann, bob) = (person("ann", &["a", "a2"]), person("bob", &["b", "a2"]));
    assert_eq!(refused(&[ann.clone(), bob.clone()]), PersonsError::SharedToken { first: ann.id.clone(), second: bob.id.clone() });
    assert_eq!(refused(&[ann.clone(), ann.clone()]), PersonsError::Twice(ann.id.clone()));
    let short = PersonConfig { tokens_sha256: vec!["abc".to_owned()], ..ann.clone() };
    assert_eq!(refused(&[short]), PersonsError::NotAHash(ann.id.clone()));
    let not_hex = PersonConfig { tokens_sha256: vec!["x".repeat(64)], ..ann.clone() };
    assert_eq!(refused(&[not_hex]), PersonsError::NotAHash(ann.id.clone()));
    let service = PersonConfig { roles: [Role::Service].into(), ..ann.clone() };
    assert_eq!(refused(&[service]), PersonsError::ServiceRole(ann.id.clone()));
    let all = Persons::from_config(std::slice::from_ref(&ann)).unwrap();
    assert!(matches!(all.clone().with_service("policy", &Bearer::new("a").unwrap()), Err(PersonsError::SharedToken { .. })));
    assert_eq!(all.with_service("ann", &Bearer::new("z").unwrap()).unwrap_err(), PersonsError::Twice(ann.id));
}

#[test]
fn a_service_is_known_by_the_hash_of_its_token_alone() {
    let service = |name: &str, tokens: &[&str]| ServiceConfig {
        name: name.parse().unwrap(),
        tokens_sha256: tokens.iter().map(|token| Bearer::new(token).unwrap().sha256()).collect(),
    };
    let all = Persons::default().with_services(&[service("recovery", &["old", "new"]), service("policy", &["p"])]).unwrap();
    for token in ["old", "new"] {
        let caller = all.identify(&headers(&format!("Bearer {token}"))).unwrap();
        assert_eq!(caller.person().id.as_str(), "recovery");
        assert!(caller.require(Role::Service).is_ok());
    }
    assert_eq!(all.iter().count(), 2);
    assert!(all.get(&"policy".parse().unwrap()).is_some());
    assert!(matches!(all.with_services(&[service("patrol", &["p"])]), Err(PersonsError::SharedToken { .. })));
}

#[test]
fn a_token_never_shows_itself_and_new_ones_differ() {
    let token = Bearer::generate().unwrap();
    assert_eq!(format!("{token:?}"), "Bearer(…)");
    assert_eq!(token.reveal().len(), 43);
    assert_ne!(token, Bearer::generate().unwrap());
    assert!(Bearer::new("").is_err() && Bearer::new("a b").is_err() && Bearer::new("a\n").is_err());
    // Known answer, so that a token made elsewhere (`printf %s token | sha256sum`) fits.
    assert_eq!(Bearer::new("abc").unwrap().sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
