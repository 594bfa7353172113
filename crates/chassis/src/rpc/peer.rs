//! Where services listen and where clients find them, with TLS where it is configured.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig, Uri};

use super::Client;
use crate::config::{ConfigError, Mode, Secret};

/// Whoever connects and says nothing is not waited for longer.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port, for example `127.0.0.1:7401`.
    pub address: SocketAddr,
    /// Certificate and key. Default: none, plaintext, which production allows on loopback only.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// A certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM; best as `key_file`.
    pub key: Secret,
    /// Whose certificates callers must show, PEM. Default: callers need no certificate, only a token.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// With `client_ca_file`: whether callers without a certificate are turned away. Default: they are.
    #[serde(default = "yes")]
    pub client_certificate_required: bool,
}

fn yes() -> bool {
    true
}

/// Where a client finds a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// `http://host:port`, or `https://host:port` for TLS.
    pub address: String,
    /// Whose certificate the service must show, PEM; required with `https`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A certificate of our own to show, PEM. Default: none.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// The private key of that certificate, PEM; best as `key_file`.
    #[serde(default)]
    pub key: Option<Secret>,
}

/// Why a peer cannot be reached or an address not be listened on, before anything was sent.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Not `http://host:port`.
    #[error("{address:?} is not an address; expected http://host:port or https://host:port")]
    Address {
        /// What was configured.
        address: String,
    },
    /// No trust without a root.
    #[error("{address} is https, but ca_file does not say whose certificate to trust")]
    NoRoot {
        /// What was configured.
        address: String,
    },
    /// Plaintext between services.
    #[error("{address} is not https: services prove who they are by certificates")]
    NotTls {
        /// What was configured.
        address: String,
    },
    /// Nowhere to look.
    #[error("no address of the service {service} is configured")]
    NoAddress {
        /// Which service.
        service: String,
    },
    /// One half of a pair.
    #[error("certificate_file and key belong together; only one of them is set")]
    HalfIdentity,
    /// A file that cannot be read.
    #[error("reading {file}")]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens there already, or may not.
    #[error("listening on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Certificate or key are not what they should be.
    #[error("the certificate or its key")]
    Tls(#[source] tonic::transport::Error),
}

impl Listen {
    /// Refuses plaintext beyond loopback in production.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for `setting`.
    pub fn check(&self, mode: Mode, setting: &str) -> Result<(), ConfigError> {
        mode.check_plaintext(setting, &self.address.to_string(), self.tls.is_some() || self.address.ip().is_loopback())
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`PeerError::Bind`]
    pub async fn bind(&self) -> Result<TcpListener, PeerError> {
        TcpListener::bind(self.address).await.map_err(|source| PeerError::Bind { address: self.address, source })
    }
}

impl Tls {
    pub(super) fn for_server(&self) -> Result<ServerTlsConfig, PeerError> {
        let tls = ServerTlsConfig::new().timeout(HANDSHAKE).identity(identity(&self.certificate_file, &self.key)?);
        Ok(match &self.client_ca_file {
            Some(file) => {
                let tls = tls.client_ca_root(Certificate::from_pem(read(file)?));
                tls.client_auth_optional(!self.client_certificate_required)
            }
            None => tls,
        })
    }
}

impl Peer {
    /// A service without TLS, such as one on this machine.
    pub fn plaintext(address: impl Into<String>) -> Self {
        Self { address: address.into(), ca_file: None, certificate_file: None, key: None }
    }

    /// Refuses plaintext beyond loopback in production: tokens would travel readable.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for `setting`.
    pub fn check(&self, mode: Mode, setting: &str) -> Result<(), ConfigError> {
        let uri = self.address.parse::<Uri>().ok();
        let secure = uri.as_ref().and_then(Uri::scheme_str) == Some("https");
        let near = uri.as_ref().and_then(Uri::host).is_some_and(|host| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        mode.check_plaintext(setting, &self.address, secure || near)
    }

    /// A client of it, still without a token.
    ///
    /// # Errors
    /// As [`Self::channel`].
    pub fn client(&self) -> Result<Client, PeerError> {
        let uri = self.address.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        Ok(Client::new(self.channel()?).of(host, uri.as_ref().and_then(Uri::port_u16)))
    }

    /// A channel to it. It connects at the first call, and again whenever the connection was lost.
    ///
    /// # Errors
    /// A [`PeerError`] if the settings cannot be used; a service that is not there yet is no error.
    pub fn channel(&self) -> Result<Channel, PeerError> {
        let wrong = || PeerError::Address { address: self.address.clone() };
        let endpoint = Endpoint::from_shared(self.address.clone()).map_err(|_| wrong())?;
        let secure = match endpoint.uri().scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let endpoint = super::client::tuned(endpoint);
        let endpoint = if secure { endpoint.tls_config(self.tls()?).map_err(PeerError::Tls)? } else { endpoint };
        Ok(endpoint.connect_lazy())
    }

    fn tls(&self) -> Result<ClientTlsConfig, PeerError> {
        let root = self.ca_file.as_ref().ok_or_else(|| PeerError::NoRoot { address: self.address.clone() })?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(root)?));
        match (&self.certificate_file, &self.key) {
            (None, None) => Ok(tls),
            (Some(file), Some(key)) => Ok(tls.identity(identity(file, key)?)),
            (Some(_), None) | (None, Some(_)) => Err(PeerError::HalfIdentity),
        }
    }
}

pub(super) fn identity(certificate: &Path, key: &Secret) -> Result<Identity, PeerError> {
    Ok(Identity::from_pem(read(certificate)?, key.reveal()))
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, PeerError> {
    std::fs::read(file).map_err(|source| PeerError::File { file: file.to_owned(), source })
}
