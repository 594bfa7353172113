//! Which service may call what. A service proves who it is by its certificate, and may call only what is written down for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Extensions;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use webpki::EndEntityCert;

use super::Refused;
use crate::auth::Caller;

/// The end of the DNS name by which a service's certificate says who it is: `recovery.homeward.internal`.
pub const IDENTITY_DOMAIN: &str = "homeward.internal";

/// The methods that each service may call here; whatever is not written down is refused.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<BTreeMap<&'static str, BTreeSet<&'static str>>>);

impl Access {
    /// From a table of services and the methods (`/package.Service/Method`) that they may call.
    pub fn of(table: &[(&'static str, &[&'static str])]) -> Self {
        Self(Arc::new(table.iter().map(|(service, methods)| (*service, methods.iter().copied().collect())).collect()))
    }

    /// No service may call anything here; persons may.
    pub fn persons_only() -> Self {
        Self::default()
    }

    /// Lets the service's call of `method` go on if it is written down.
    pub(super) fn check(&self, service: &str, method: &str) -> Result<(), Refused> {
        if self.0.get(service).is_some_and(|methods| methods.contains(method)) {
            return Ok(());
        }
        tracing::warn!(service, method, "a service called what it may not call");
        Err(Refused::denied(
            "SERVICE_NOT_ALLOWED",
            format!("the service {service} may not call {method} here"),
            "if it must, write it into the table of what each service may call",
        ))
    }
}

/// The service whose certificate the connection showed. TLS has checked by now that the certificate is one of our CA's,
/// that it is in its time, and that the caller has its key.
pub(super) fn service_of(extensions: &Extensions) -> Option<Caller> {
    let certificates = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs()?;
    let certificate = EndEntityCert::try_from(certificates.first()?).ok()?;
    let name = certificate.valid_dns_names().find_map(|name| name.strip_suffix(IDENTITY_DOMAIN)?.strip_suffix('.'))?;
    Caller::service(name)
}
