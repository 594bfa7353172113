//! Services that know one another by their certificates, and persons whose calls another service passes on.

use std::path::PathBuf;
use std::time::Duration;

use homeward_chassis::auth::Bearer;
use homeward_chassis::config::Secret;
use homeward_chassis::health::{Check, Health};
use homeward_chassis::rpc::{Access, Client, Forward, Identity, Peer, PeerError, Refused, Server};
use homeward_types::{Clock, SystemClock};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::echo::{Echo, MIA_TOKEN, Say, call, persons, say, server};

const SAY: &str = "/homeward.test.v1.EchoService/Say";

/// A certificate authority of a test's own.
struct Authority {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self { folder, ca }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names, which ends after so many seconds (before now, if negative).
    fn identity(&self, names: &[&str], seconds: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.not_before = std::time::SystemTime::from(SystemClock.now() - Duration::from_hours(1)).into();
        params.not_after = params.not_before + Duration::from_secs(u64::try_from(3600 + seconds).unwrap());
        let file = self.folder.path().join(format!("{}.pem", names.first().unwrap_or(&"nobody")));
        std::fs::write(&file, params.signed_by(&key, &self.ca).unwrap().pem()).unwrap();
        Identity { ca_file: self.ca_file(), certificate_file: file, key: Secret::new(key.serialize_pem()) }
    }

    /// Of a service, as it says in its certificate.
    fn service(&self, name: &str) -> Identity {
        self.identity(&[&format!("{name}.homeward.internal"), "localhost"], 600)
    }
}

/// Only recovery may say something to the echo.
fn access() -> Access {
    Access::of(&[("recovery", &[SAY]), ("notification", &[])])
}

struct Running {
    address: String,
    _guard: DropGuard,
}

async fn run(server: Server, identity: &Identity) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let stop = CancellationToken::new();
    tokio::spawn(server.tls(&identity.for_server()).unwrap().serve_tcp(listener, stop.clone()));
    Running { address, _guard: stop.drop_guard() }
}

async fn policy(authority: &Authority) -> Running {
    run(server(Echo::default()).allow(access()), &authority.service("policy")).await
}

fn client(identity: &Identity, running: &Running) -> Client {
    identity.client("policy", std::slice::from_ref(&running.address)).unwrap()
}

async fn refused(client: &Client) -> Refused {
    say(client, "echo").await.unwrap_err()
}

#[tokio::test]
async fn a_service_is_whom_its_certificate_names_and_may_do_what_is_written_down() {
    let authority = Authority::new();
    let policy = policy(&authority).await;
    assert_eq!(say(&client(&authority.service("recovery"), &policy), "echo").await.unwrap().caller, "recovery");
    for known in ["notification", "stranger"] {
        let refused = refused(&client(&authority.service(known), &policy)).await;
        assert_eq!((refused.code, refused.reason.as_ref()), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED"), "{known}");
        assert!(refused.message.contains(known) && refused.message.contains(SAY), "{refused}");
    }
}

#[tokio::test]
async fn without_a_certificate_or_with_one_that_names_no_service_it_takes_a_persons_token() {
    let authority = Authority::new();
    let policy = policy(&authority).await;
    let nameless =
        authority.identity(&["laptop.example.com", "homeward.internal", "recovery.homeward.internal.example.com"], 600);
    let without =
        Peer { ca_file: Some(authority.ca_file()), ..Peer::plaintext(policy.address.replace("127.0.0.1", "localhost")) };
    for client in [client(&nameless, &policy), without.client().unwrap()] {
        let refused = refused(&client).await;
        assert_eq!((refused.code, refused.reason.as_ref()), (Code::Unauthenticated, "TOKEN_MISSING"));
        let mia = client.bearing(&Bearer::new(MIA_TOKEN).unwrap());
        assert_eq!(say(&mia, "echo").await.unwrap().caller, "mia");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_past_its_time_opens_nothing() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let policy = policy(&ours).await;
    let forged = Identity { ca_file: ours.ca_file(), ..foreign.service("recovery") };
    let expired = ours.identity(&["recovery.homeward.internal"], -60);
    for identity in [forged, expired] {
        // TLS ends the connection, and nobody learns which call would have been allowed.
        let refused = refused(&client(&identity, &policy)).await;
        assert_eq!(refused.code, Code::Unavailable, "{refused}");
    }
    // The one that is well still is served.
    say(&client(&ours.service("recovery"), &policy), "echo").await.unwrap();
}

#[tokio::test]
async fn a_client_believes_nobody_who_is_not_the_service_that_it_looks_for() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let recovery = ours.service("recovery");
    let impostor = run(server(Echo::default()).allow(access()), &ours.service("notification")).await;
    let stranger = run(server(Echo::default()).allow(access()), &foreign.service("policy")).await;
    let late = run(server(Echo::default()).allow(access()), &ours.identity(&["policy.homeward.internal"], -60)).await;
    for wrong in [impostor, stranger, late] {
        assert_eq!(refused(&client(&recovery, &wrong)).await.code, Code::Unavailable);
    }
    let plain = recovery.client("policy", &["http://127.0.0.1:1".to_owned()]);
    assert!(matches!(plain, Err(PeerError::NotTls { .. })));
    assert!(matches!(recovery.client("policy", &[]), Err(PeerError::NoAddress { .. })));
}

#[tokio::test]
async fn where_nothing_is_written_down_no_certificate_stands_for_a_service() {
    let authority = Authority::new();
    let open = run(server(Echo::default()), &authority.service("policy")).await;
    assert_eq!(refused(&client(&authority.service("recovery"), &open)).await.reason, "TOKEN_MISSING");
}

#[tokio::test]
async fn a_client_goes_on_to_another_replica_when_one_is_gone() {
    let authority = Authority::new();
    let (first, second) = (policy(&authority).await, policy(&authority).await);
    let addresses = [first.address.clone(), "https://127.0.0.1:9".to_owned(), second.address.clone()];
    let client = authority.service("recovery").client("policy", &addresses).unwrap();
    for _ in 0..10 {
        say(&client, "echo").await.unwrap();
    }
    drop(first);
    let mut failures = 0;
    for _ in 0..100 {
        // The call that finds the connection gone fails; the next one goes elsewhere.
        failures += u32::from(say(&client, "echo").await.is_err());
    }
    assert!(failures <= 5, "{failures} of 100 calls failed");
}

/// An edge in front of `policy` that passes calls on in the name of `identity`.
async fn edge(identity: &Identity, policy: &Running) -> Running {
    let forward = Forward::<Echo>::to(client(identity, policy));
    let edge = Server::new(persons(), tonic_health::pb::FILE_DESCRIPTOR_SET).allow(Access::persons_only()).add(forward);
    run(edge, identity).await
}

#[tokio::test]
async fn an_edge_passes_calls_on_in_the_persons_name_and_never_in_its_own() {
    let authority = Authority::new();
    let policy = policy(&authority).await;
    let edge = edge(&authority.service("console"), &policy).await;
    let person = Peer { ca_file: Some(authority.ca_file()), ..Peer::plaintext(edge.address.replace("127.0.0.1", "localhost")) };
    let person = person.client().unwrap();
    let mia = person.clone().bearing(&Bearer::new(MIA_TOKEN).unwrap());
    assert_eq!(say(&mia, "echo").await.unwrap().caller, "mia");
    // A refusal comes through as it was made, and so does a large message.
    assert_eq!(say(&mia, "refuse").await.unwrap_err().reason, "LEASE_OPEN");
    let large = Request::new(Say { what: "echo".to_owned(), ballast: vec![7; 4 << 20] });
    assert_eq!(call(&mia, large).await.unwrap().into_inner().ballast.len(), 4 << 20);
    assert_eq!(refused(&person).await.reason, "TOKEN_MISSING");
    // A service that may call policy may not do it through the edge.
    let recovery = authority.service("recovery").client("console", std::slice::from_ref(&edge.address)).unwrap();
    assert_eq!(refused(&recovery).await.reason, "SERVICE_NOT_ALLOWED");
}

#[tokio::test]
async fn an_edge_tells_when_nobody_is_behind_it() {
    let authority = Authority::new();
    let nobody = Running { address: "https://127.0.0.1:9".to_owned(), _guard: CancellationToken::new().drop_guard() };
    let edge = edge(&authority.service("console"), &nobody).await;
    let person = Peer { ca_file: Some(authority.ca_file()), ..Peer::plaintext(edge.address.replace("127.0.0.1", "localhost")) };
    let mia = person.client().unwrap().bearing(&Bearer::new(MIA_TOKEN).unwrap());
    let refused = say(&mia, "echo").await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused}");
}

#[tokio::test]
async fn health_checks_are_told_what_the_process_knows_of_itself() {
    let authority = Authority::new();
    let health = Health::new();
    let running = run(server(Echo::default()).allow(access()).follow(health.clone()), &authority.service("policy")).await;
    let probe = Peer { ca_file: Some(authority.ca_file()), ..Peer::plaintext(running.address.replace("127.0.0.1", "localhost")) };
    let status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(probe.channel().unwrap()).check(request).await.unwrap().into_inner().status()
    };
    for service in ["", "homeward.test.v1.EchoService"] {
        assert_eq!(status(service).await, ServingStatus::NotServing, "{service:?} while it starts");
    }
    let stop = CancellationToken::new();
    let (well, watched) = tokio::sync::watch::channel(true);
    let check = Check::new("broker", move || {
        let well = *watched.borrow();
        async move { if well { Ok(vec![]) } else { Err("away".to_owned()) } }
    });
    tokio::spawn(health.clone().watch(vec![check], stop.clone()));
    let until = async |wanted: ServingStatus| {
        tokio::time::timeout(Duration::from_secs(20), async {
            while status("").await != wanted || status("homeward.test.v1.EchoService").await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
    };
    until(ServingStatus::Serving).await;
    well.send(false).unwrap();
    until(ServingStatus::NotServing).await;
    well.send(true).unwrap();
    until(ServingStatus::Serving).await;
}
