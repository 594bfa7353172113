//! HTTPS: a server that is not the provider gets not one byte of a request, and no key.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use homeward_provider::{AtlassianProvider, AtlassianSettings, IdentityProvider, MoveOrder, Priority, ProviderError, Reason};
use homeward_types::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;

use super::stub::{KEY, account, email};

/// An authority that a test made up.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { issuer, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Its own certificate, as a file.
    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).expect("it can be written");
        path
    }

    /// A server that shows a certificate of this authority for `name`. Gives its port, and what it heard in clear text.
    fn server(&self, name: &str) -> (u16, Arc<Mutex<Vec<u8>>>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("a certificate and its key");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (config, log) = (Arc::new(config), Arc::clone(&heard));
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let Ok(mut session) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
                let mut stream = rustls::Stream::new(&mut session, &mut socket);
                let mut bytes = [0; 16 * 1024];
                // An alert instead of a request ends the read with an error.
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let mut heard = log.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.extend_from_slice(&bytes[..count]);
                    if heard.windows(4).any(|four| four == b"\r\n\r\n") {
                        break;
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]");
                let _ = stream.flush();
            }
        });
        (port, heard)
    }
}

fn settings(host: &str, port: u16, ca_file: Option<PathBuf>) -> AtlassianSettings {
    let mut settings = AtlassianSettings::new("org-1", SecretString::from(KEY));
    settings.base_url = format!("https://{host}:{port}/").parse().expect("an address");
    settings.ca_file = ca_file;
    settings
}

/// What a read and a move say, with proof that neither left this machine's end of the connection.
async fn refused(settings: AtlassianSettings) -> ProviderError {
    let provider = AtlassianProvider::new(settings, Arc::new(SystemClock)).expect("usable settings");
    let who = [(account("a"), email("a@example.com"))];
    let to = "recovery-policy".parse().expect("a policy id");
    let send_before = SystemClock.now() + chrono::TimeDelta::seconds(20);
    let moved = provider.move_accounts(MoveOrder { to: &to, who: &who, send_before, priority: Priority::Lend }).await;
    assert!(moved[0].answer.as_ref().is_err_and(ProviderError::proves_not_taken), "{moved:?}");
    provider.read_placements(&[account("a")], Priority::Evidence).await.expect_err("refused")
}

fn heard(log: &Mutex<Vec<u8>>) -> Vec<u8> {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_nobody_trusts_gets_nothing() {
    let authority = Authority::new();
    let (port, log) = authority.server("localhost");
    let error = refused(settings("localhost", port, None)).await;
    assert_eq!(error.reason, Reason::NoConnection, "{error}");
    let other = Authority::new();
    let error = refused(settings("localhost", port, Some(other.file()))).await;
    assert_eq!(error.reason, Reason::NoConnection, "{error}");
    assert_eq!(heard(&log), b"", "no byte of a request, and no key");
}

#[tokio::test]
async fn a_trusted_certificate_for_another_name_gets_nothing() {
    let authority = Authority::new();
    let (port, log) = authority.server("elsewhere.example");
    let error = refused(settings("localhost", port, Some(authority.file()))).await;
    assert_eq!(error.reason, Reason::NoConnection, "{error}");
    assert_eq!(heard(&log), b"");
}

#[tokio::test]
async fn a_trusted_certificate_for_the_right_name_is_spoken_to() {
    let authority = Authority::new();
    let (port, log) = authority.server("localhost");
    let settings = settings("localhost", port, Some(authority.file()));
    let provider = AtlassianProvider::new(settings, Arc::new(SystemClock)).expect("usable settings");
    let read = provider.read_placements(&[account("a")], Priority::Evidence).await.expect("an answer");
    assert!(read.is_empty());
    let text = String::from_utf8_lossy(&heard(&log)).to_lowercase();
    assert!(text.contains(&format!("authorization: bearer {KEY}")), "the test can see a key where one is sent");
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("not.pem");
    let refused = || {
        let settings = settings("localhost", 1, Some(file.clone()));
        AtlassianProvider::new(settings, Arc::new(SystemClock)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused().contains("cannot be read"), "{}", refused());
    std::fs::write(&file, "no certificate").expect("it can be written");
    assert!(refused().contains("no certificates"), "{}", refused());
}
