//! Who calls: bearer tokens, the persons that they belong to, and what those may do.
//!
//! Homeward keeps only the SHA-256 of a token. A token is long and random, so its hash needs no salt and no slow function.

mod bearer;
mod persons;

use std::sync::Arc;

use homeward_types::{Person, Role};
use tonic::Request;

pub use bearer::{Bearer, BearerError};
pub use persons::{PersonConfig, Persons, PersonsError, ServiceConfig};

use crate::rpc::Refused;

/// A person or service that made a call, known by its token or, a service, by its certificate.
#[derive(Debug, Clone)]
pub struct Caller {
    person: Arc<Person>,
}

impl Caller {
    /// The service of this name, if it can be one.
    pub(crate) fn service(name: &str) -> Option<Self> {
        Some(Self { person: Arc::new(persons::service(name.parse().ok()?)) })
    }

    /// Who it is.
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// Lets the call go on if the caller has `role`.
    ///
    /// # Errors
    /// `ROLE_MISSING`, which names the role.
    pub fn require(&self, role: Role) -> Result<(), Refused> {
        self.require_any(&[role])
    }

    /// Lets the call go on if the caller has at least one of `roles`.
    ///
    /// # Errors
    /// `ROLE_MISSING`, which names the roles.
    pub fn require_any(&self, roles: &[Role]) -> Result<(), Refused> {
        if roles.iter().any(|role| self.person.may(*role)) {
            return Ok(());
        }
        let wanted = roles.iter().map(|role| role_name(*role)).collect::<Vec<_>>().join(" or ");
        Err(Refused::denied(
            "ROLE_MISSING",
            format!("{} may not do this: it takes the role {wanted}", self.person.name),
            "ask someone who has the role, or have it added to the person in the configuration",
        ))
    }
}

/// Who made `request`. The server has checked the token before the handler ran.
///
/// # Errors
/// `TOKEN_MISSING` if the request did not come through [`Server`](crate::rpc::Server).
pub fn authenticate<T>(request: &Request<T>) -> Result<Caller, Refused> {
    request.extensions().get::<Caller>().cloned().ok_or_else(persons::no_token)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Requester => "requester",
        Role::Approver => "approver",
        Role::Operator => "operator",
        Role::Auditor => "auditor",
        Role::Service => "service",
    }
}
