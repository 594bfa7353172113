//! How the services of Homeward find one another.

use std::collections::BTreeMap;

use anyhow::Context;
use homeward_chassis::auth::{Bearer, Persons, PersonsError};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Identity};

use super::Role;
use crate::exit::Failure;
use crate::settings::Services;

/// The one name in the hub: all services of the process answer there.
pub const HUB: &str = "homeward";

/// The services that call others in their own name.
const CALLERS: [Role; 3] = [Role::Recovery, Role::Patrol, Role::Console];

/// The other services, near or far.
pub enum Peers {
    /// All in this process. Each proves who it is by a token that is made at the start and known to nobody else.
    Near {
        /// Where they meet.
        hub: Hub,
        /// The services' tokens.
        tokens: BTreeMap<Role, Bearer>,
    },
    /// Processes of their own. Each proves who it is by its certificate.
    Far {
        /// Who this process is.
        identity: Identity,
        /// Where the others are.
        services: Box<Services>,
    },
}

impl Peers {
    /// All services in this process, which meet at `hub`.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn near(hub: Hub) -> Result<Self, Failure> {
        let token = |role| Ok::<_, anyhow::Error>((role, Bearer::generate().context("making a token for a service")?));
        Ok(Self::Near { hub, tokens: CALLERS.into_iter().map(token).collect::<Result<_, _>>()? })
    }

    /// Those who may call, and the services that prove who they are by a token.
    ///
    /// # Errors
    /// When a person has a service's name.
    pub fn join(&self, persons: Persons) -> Result<Persons, PersonsError> {
        match self {
            Self::Near { tokens, .. } => {
                tokens.iter().try_fold(persons, |persons, (role, token)| persons.with_service(role.name(), token))
            }
            Self::Far { .. } => Ok(persons),
        }
    }

    /// A client with which `from` calls `to`. What brings a token of its own goes in that token's name.
    ///
    /// # Errors
    /// When the settings do not say where `to` is, or the certificates cannot be used.
    pub fn client(&self, from: Role, to: Role) -> Result<Client, Failure> {
        match self {
            Self::Near { hub, tokens } => {
                let client = hub.client(HUB);
                Ok(tokens.get(&from).map_or(client.clone(), |token| client.bearing(token)))
            }
            Self::Far { identity, services } => {
                let client = identity.client(to.name(), services.addresses(to));
                client
                    .map_err(|error| Failure::Configuration(format!("services.{to}: {}", homeward_chassis::error_chain(&error))))
            }
        }
    }
}
