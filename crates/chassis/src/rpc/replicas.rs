//! Finding a service that runs as several processes, and making sure that it is the one that it says.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Uri};

use super::access::IDENTITY_DOMAIN;
use super::peer::{PeerError, identity, read};
use super::{Client, Tls};
use crate::config::Secret;

/// How long one replica may take to accept a connection before the next is tried.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who this process is, and whom it believes: one certificate, shown to clients and to servers alike.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Whose certificates are believed, PEM.
    pub ca_file: PathBuf,
    /// Our own certificate, PEM. Its DNS names include `<service>.homeward.internal`.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key: Secret,
}

impl Identity {
    /// How a server shows it. Callers may show a certificate of the same CA, and are the service that it names.
    pub fn for_server(&self) -> Tls {
        Tls {
            certificate_file: self.certificate_file.clone(),
            key: self.key.clone(),
            client_ca_file: Some(self.ca_file.clone()),
            client_certificate_required: false,
        }
    }

    /// A client of `service` at any of `addresses` (`https://host:port`), without a token. It has one connection at a time,
    /// and goes on to the next address when that is lost or cannot be made. Whoever answers must prove to be the service.
    ///
    /// # Errors
    /// A [`PeerError`] if the addresses or the files cannot be used; a service that is not there yet is no error.
    pub fn client(&self, service: &str, addresses: &[String]) -> Result<Client, PeerError> {
        let hosts = addresses.iter().map(|address| host(address)).collect::<Result<Vec<_>, _>>()?;
        let (Some((first, port)), Some(address)) = (hosts.first(), addresses.first()) else {
            return Err(PeerError::NoAddress { service: service.to_owned() });
        };
        let (first, port) = (first.clone(), *port);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&self.ca_file)?))
            .identity(identity(&self.certificate_file, &self.key)?)
            .domain_name(format!("{service}.{IDENTITY_DOMAIN}"));
        let wrong = |_| PeerError::Address { address: address.clone() };
        let endpoint = super::client::tuned(Endpoint::from_shared(address.clone()).map_err(wrong)?);
        let endpoint = endpoint.tls_config(tls).map_err(PeerError::Tls)?;
        let (hosts, next) = (Arc::<[_]>::from(hosts), Arc::new(AtomicUsize::new(anywhere())));
        let connector = tower::service_fn(move |_: Uri| connect(hosts.clone(), next.fetch_add(1, Ordering::Relaxed)));
        Ok(Client::new(endpoint.connect_with_connector_lazy(connector)).of(&first, Some(port)))
    }
}

/// Host and port of `https://host:port`.
fn host(address: &str) -> Result<(String, u16), PeerError> {
    let wrong = || PeerError::Address { address: address.to_owned() };
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("https") {
        return Err(PeerError::NotTls { address: address.to_owned() });
    }
    let host = uri.host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(443)))
}

/// A connection to one of `hosts`, tried in turn from `first` on.
async fn connect(hosts: Arc<[(String, u16)]>, first: usize) -> io::Result<TokioIo<TcpStream>> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for at in 0..hosts.len() {
        let (host, port) = &hosts[first.wrapping_add(at) % hosts.len()];
        match tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), *port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(TokioIo::new(stream));
            }
            Ok(Err(error)) => failure = error,
            Err(elapsed) => failure = elapsed.into(),
        }
    }
    Err(failure)
}

/// Where to begin, so that the clients of one service spread over its replicas.
fn anywhere() -> usize {
    let random = RandomState::new().build_hasher().finish();
    usize::try_from(random % 1024).unwrap_or(0)
}
