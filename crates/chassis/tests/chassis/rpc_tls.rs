//! TLS, where it is configured.

use homeward_chassis::config::{Mode, Secret};
use homeward_chassis::rpc::{Client, Listen, Peer, PeerError, Tls};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;

use crate::echo::{Echo, say, server, service_token};

struct Certificates {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self { folder, ca }
    }

    fn issue(&self, name: &str) -> (std::path::PathBuf, Secret) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let file = self.folder.path().join(name);
        std::fs::write(&file, params.signed_by(&key, &self.ca).unwrap().pem()).unwrap();
        (file, Secret::new(key.serialize_pem()))
    }

    fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    async fn serve(&self, client_ca: bool) -> (String, DropGuard) {
        let (certificate_file, key) = self.issue("server.pem");
        let tls =
            Tls { certificate_file, key, client_ca_file: client_ca.then(|| self.ca_file()), client_certificate_required: true };
        let listen = Listen { address: "127.0.0.1:0".parse().unwrap(), tls: Some(tls.clone()) };
        listen.check(Mode::Production, "listen").unwrap();
        let listener = listen.bind().await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let stop = CancellationToken::new();
        tokio::spawn(server(Echo::default()).tls(&tls).unwrap().serve_tcp(listener, stop.clone()));
        (address, stop.drop_guard())
    }
}

fn peer(address: String, ca: &Certificates) -> Peer {
    Peer { ca_file: Some(ca.ca_file()), ..Peer::plaintext(address) }
}

fn client(peer: &Peer) -> Client {
    peer.client().unwrap().bearing(&service_token())
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_is_served_and_another_is_not() {
    let (ours, foreign) = (Certificates::new(), Certificates::new());
    let (address, _guard) = ours.serve(false).await;
    assert_eq!(say(&client(&peer(address.clone(), &ours)), "echo").await.unwrap().caller, "recovery");
    let refused = say(&client(&peer(address, &foreign)), "echo").await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused}");
}

#[tokio::test]
async fn a_server_that_wants_client_certificates_serves_nobody_without_one() {
    let ours = Certificates::new();
    let (address, _guard) = ours.serve(true).await;
    let without = peer(address.clone(), &ours);
    assert!(say(&client(&without), "echo").await.is_err());
    let (file, key) = ours.issue("client.pem");
    let with = Peer { certificate_file: Some(file), key: Some(key), ..without };
    say(&client(&with), "echo").await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let half = Peer { certificate_file: Some("client.pem".into()), ..Peer::plaintext("https://localhost:1") };
    assert!(matches!(half.channel(), Err(PeerError::NoRoot { .. })));
    let ours = Certificates::new();
    let half = Peer { ca_file: Some(ours.ca_file()), ..half };
    assert!(matches!(half.channel(), Err(PeerError::HalfIdentity)));
    for wrong in ["localhost:7401", "ftp://localhost:1", ""] {
        assert!(matches!(Peer::plaintext(wrong).channel(), Err(PeerError::Address { .. })), "{wrong:?}");
    }
}

#[test]
fn production_refuses_plaintext_beyond_this_machine() {
    let listen = |address: &str| Listen { address: address.parse().unwrap(), tls: None };
    assert!(listen("127.0.0.1:7401").check(Mode::Production, "listen").is_ok());
    assert!(listen("[::1]:7401").check(Mode::Production, "listen").is_ok());
    assert!(listen("0.0.0.0:7401").check(Mode::Development, "listen").is_ok());
    let refused = listen("0.0.0.0:7401").check(Mode::Production, "policy.listen").unwrap_err();
    insta::assert_snapshot!(refused, @r#"mode = "production": `policy.listen`: 0.0.0.0:7401 is not on this machine and has no TLS, so tokens would travel readable; configure TLS, or use a loopback address"#);
    for near in ["http://localhost:7401", "http://127.0.0.1:7401", "http://[::1]:7401", "https://policy.internal:7401"] {
        assert!(Peer::plaintext(near).check(Mode::Production, "policy").is_ok(), "{near}");
    }
    assert!(Peer::plaintext("http://policy.internal:7401").check(Mode::Production, "policy").is_err());
}
