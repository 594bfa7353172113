//! The persons and services that may call, found by the hash of their token.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use homeward_types::{AccountId, Email, NameError, Person, PersonId, Role};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Caller;
use super::bearer::{Bearer, digest_of, token_in};
use crate::rpc::Refused;

/// One person as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonConfig {
    /// Stable short name, for example `mia`.
    pub id: PersonId,
    /// What people call them.
    pub name: String,
    /// Where notices go. Default: nowhere.
    #[serde(default)]
    pub email: Option<Email>,
    /// `requester`, `approver`, `operator`, `auditor`.
    pub roles: BTreeSet<Role>,
    /// Their own accounts at the provider, which they may not approve for. Default: none.
    #[serde(default)]
    pub accounts: BTreeSet<AccountId>,
    /// SHA-256 of each of their tokens, 64 hexadecimal digits.
    pub tokens_sha256: Vec<String>,
}

/// A service of Homeward that may call this one, where they run as processes of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Its short name, for example `recovery`.
    pub name: PersonId,
    /// SHA-256 of each token that it may use, 64 hexadecimal digits; two while one replaces the other.
    pub tokens_sha256: Vec<String>,
}

/// Why a list of persons cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonsError {
    /// The same id twice.
    #[error("the person {0} is there twice; give the one entry all their tokens")]
    Twice(PersonId),
    /// A token with two owners.
    #[error("{first} and {second} have the same token; a token belongs to one person")]
    SharedToken {
        /// One owner.
        first: PersonId,
        /// The other.
        second: PersonId,
    },
    /// Not a hash.
    #[error("a token of {0} is not a SHA-256: expected 64 hexadecimal digits")]
    NotAHash(PersonId),
    /// Persons are not services.
    #[error("{0} has the role `service`, which only Homeward's own services have; remove it")]
    ServiceRole(PersonId),
    /// A service's name that cannot be one.
    #[error("the name of a service")]
    ServiceName(#[from] NameError),
}

#[derive(Debug, Clone)]
struct Token {
    hash: [u8; 32],
    person: Arc<Person>,
}

/// Everyone who may call.
#[derive(Debug, Clone, Default)]
pub struct Persons {
    by_id: BTreeMap<PersonId, Arc<Person>>,
    /// By the first 8 bytes of the hash: what a caller can learn from the time that this takes are bits of a hash
    /// whose token it would have to know already. The rest is compared in constant time.
    tokens: HashMap<[u8; 8], Vec<Token>>,
}

impl Persons {
    /// The persons of the configuration.
    ///
    /// # Errors
    /// The first [`PersonsError`] found.
    pub fn from_config(persons: &[PersonConfig]) -> Result<Self, PersonsError> {
        let mut all = Self::default();
        for person in persons {
            if person.roles.contains(&Role::Service) {
                return Err(PersonsError::ServiceRole(person.id.clone()));
            }
            let hashes = hashes_from(&person.id, &person.tokens_sha256)?;
            all.add(
                Person {
                    id: person.id.clone(),
                    name: person.name.clone(),
                    email: person.email.clone(),
                    roles: person.roles.clone(),
                    accounts: person.accounts.clone(),
                },
                &hashes,
            )?;
        }
        Ok(all)
    }

    /// Adds a service of Homeward, which calls with `token` and has the role `service`.
    ///
    /// The embedded default makes one token for the whole process at its start; distributed services are
    /// [configured](Self::with_services).
    ///
    /// # Errors
    /// A [`PersonsError`] if the name is not one, is taken, or the token belongs to someone else.
    pub fn with_service(mut self, name: &str, token: &Bearer) -> Result<Self, PersonsError> {
        self.add(service(name.parse()?), &[digest_of(token.reveal())])?;
        Ok(self)
    }

    /// Adds the services of the configuration, which have the role `service`.
    ///
    /// # Errors
    /// The first [`PersonsError`] found.
    pub fn with_services(mut self, services: &[ServiceConfig]) -> Result<Self, PersonsError> {
        for config in services {
            self.add(service(config.name.clone()), &hashes_from(&config.name, &config.tokens_sha256)?)?;
        }
        Ok(self)
    }

    /// The person of this id.
    pub fn get(&self, id: &PersonId) -> Option<&Person> {
        self.by_id.get(id).map(Arc::as_ref)
    }

    /// Everyone, sorted by id; services too.
    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// Who calls with these headers (of HTTP or gRPC).
    ///
    /// # Errors
    /// `TOKEN_MISSING` or `TOKEN_UNKNOWN`.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let token = token_in(headers).ok_or_else(no_token)?;
        let hash = digest_of(token);
        let candidates = self.tokens.get(&bucket(&hash)).map_or(&[][..], Vec::as_slice);
        let found = candidates.iter().find(|candidate| bool::from(candidate.hash.ct_eq(&hash)));
        found.map(|token| Caller { person: token.person.clone() }).ok_or_else(unknown_token)
    }

    fn add(&mut self, person: Person, hashes: &[[u8; 32]]) -> Result<(), PersonsError> {
        let person = Arc::new(person);
        if self.by_id.insert(person.id.clone(), person.clone()).is_some() {
            return Err(PersonsError::Twice(person.id.clone()));
        }
        for hash in hashes {
            let tokens = self.tokens.entry(bucket(hash)).or_default();
            if let Some(other) = tokens.iter().find(|other| other.hash == *hash) {
                return Err(PersonsError::SharedToken { first: other.person.id.clone(), second: person.id.clone() });
            }
            tokens.push(Token { hash: *hash, person: person.clone() });
        }
        Ok(())
    }
}

fn bucket(hash: &[u8; 32]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    first
}

pub(super) fn service(name: PersonId) -> Person {
    Person {
        name: format!("the service {name}"),
        id: name,
        email: None,
        roles: BTreeSet::from([Role::Service]),
        accounts: BTreeSet::new(),
    }
}

fn hashes_from(owner: &PersonId, hex: &[String]) -> Result<Vec<[u8; 32]>, PersonsError> {
    let hashes: Option<Vec<_>> = hex.iter().map(|hex| hash_from(hex)).collect();
    hashes.ok_or_else(|| PersonsError::NotAHash(owner.clone()))
}

fn hash_from(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(hash)
}

pub(super) fn no_token() -> Refused {
    Refused::unauthenticated(
        "TOKEN_MISSING",
        "the call carries no token",
        "give your token: HOMEWARD_TOKEN for the command line, `authorization: Bearer …` elsewhere",
    )
}

fn unknown_token() -> Refused {
    Refused::unauthenticated(
        "TOKEN_UNKNOWN",
        "the token belongs to nobody known here",
        "check the token, or have its SHA-256 added to your entry under `persons` in the configuration",
    )
}
