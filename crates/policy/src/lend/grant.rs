//! Grants: recovery's signed permission to open one lease, and what policy checks of it without asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use homeward_types::{Organisation, PersonId};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::Command;

/// Recovery's public keys, by name.
#[derive(Debug, Clone, Default)]
pub struct GrantKeys(BTreeMap<String, Vec<u8>>);

/// Why a grant does not hold. None of these mends itself: someone who is not recovery asked, or recovery is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Nobody told policy of this key.
    #[error("the key {0:?} is not one of recovery's")]
    UnknownKey(String),
    /// The bytes are not what that key signed.
    #[error("the signature is not recovery's")]
    Signature,
    /// Too few persons approved.
    #[error("{approvers} person(s) approved, the tier asks for {needed}")]
    Approvers {
        /// How many different persons approved.
        approvers: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Whoever asked also approved.
    #[error("{0} asked and approved")]
    RequesterApproved(PersonId),
    /// A lease of no length.
    #[error("the lease would last {0} microseconds")]
    Duration(i64),
}

impl GrantKeys {
    /// No key: every grant is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public key (32 bytes) and says its name: the first 16 hexadecimal digits of its SHA-256.
    pub fn add(&mut self, public_key: &[u8]) -> String {
        let digest = digest(&SHA256, public_key);
        let kid = digest.as_ref().iter().take(8).fold(String::new(), |kid, byte| kid + &format!("{byte:02x}"));
        self.0.insert(kid.clone(), public_key.to_vec());
        kid
    }

    /// Checks that recovery signed the command's grant, and that the grant keeps the rules of its tier.
    ///
    /// # Errors
    /// The first [`GrantError`] found.
    pub fn verify(&self, command: &Command, organisation: &Organisation) -> Result<(), GrantError> {
        let key = self.0.get(&command.kid).ok_or_else(|| GrantError::UnknownKey(command.kid.clone()))?;
        UnparsedPublicKey::new(&ED25519, key).verify(&command.signed, &command.signature).map_err(|_| GrantError::Signature)?;
        let grant = &command.grant;
        let approvers: BTreeSet<&PersonId> = grant.approvers.iter().collect();
        let needed = organisation.tiers.rule(grant.tier).approvers;
        if approvers.contains(&grant.requester) {
            return Err(GrantError::RequesterApproved(grant.requester.clone()));
        }
        if approvers.len() < needed {
            return Err(GrantError::Approvers { approvers: approvers.len(), needed });
        }
        if grant.lease_micros <= 0 {
            return Err(GrantError::Duration(grant.lease_micros));
        }
        Ok(())
    }
}

/// What single use is checked by.
pub fn digest_of(signed: &[u8]) -> Vec<u8> {
    digest(&SHA256, signed).as_ref().to_vec()
}
