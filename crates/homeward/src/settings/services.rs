//! How services that run as processes of their own find and know one another.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use homeward_chassis::config::Secret;
use homeward_chassis::rpc::Identity;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::compose::Role;
use crate::exit::Failure;

/// Where the services are, and who this process is. Only `serve` uses it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Whose certificates the services believe, PEM: one authority for all.
    pub ca_file: Option<PathBuf>,
    /// This process's certificate, PEM. Its DNS names include `<role>.homeward.internal`; by that the others know it.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key, PEM; best as `key_file`.
    pub key: Option<Secret>,
    /// `https://host:port` of directory, or a list of its replicas.
    pub directory: Addresses,
    /// The same for policy.
    pub policy: Addresses,
    /// The same for recovery.
    pub recovery: Addresses,
    /// The same for notification.
    pub notification: Addresses,
    /// The same for patrol.
    pub patrol: Addresses,
}

/// One address, or several of equal right.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Addresses(Vec<String>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("https://host:port, or a list of them")
            }

            fn visit_str<E: Error>(self, one: &str) -> Result<Addresses, E> {
                Ok(Addresses(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Addresses, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Addresses(all))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl Services {
    /// Where the replicas of a service are. Nobody calls the console.
    pub fn addresses(&self, role: Role) -> &[String] {
        match role {
            Role::Directory => &self.directory.0,
            Role::Policy => &self.policy.0,
            Role::Recovery => &self.recovery.0,
            Role::Notification => &self.notification.0,
            Role::Patrol => &self.patrol.0,
            Role::Console => &[],
        }
    }

    /// Who this process is.
    ///
    /// # Errors
    /// What is missing.
    pub fn identity(&self) -> Result<Identity, Failure> {
        let missing = |key: &str| {
            Failure::Configuration(format!(
                "services.{key} is missing: processes of Homeward know one another by certificates; deploy/README.md shows how to make them"
            ))
        };
        Ok(Identity {
            ca_file: self.ca_file.clone().ok_or_else(|| missing("ca_file"))?,
            certificate_file: self.certificate_file.clone().ok_or_else(|| missing("certificate_file"))?,
            key: self.key.clone().ok_or_else(|| missing("key_file"))?,
        })
    }
}

/// The key by which recovery permits a lease.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Recovery's private key, Ed25519 in PKCS #8, PEM; best as `signing_key_file`. All replicas have the same.
    /// Default: one is made below `data_dir`.
    pub signing_key: Option<Secret>,
    /// The public keys whose grants policy accepts, base64; `homeward keys grant` prints recovery's. While one key replaces
    /// another both stand here. In `up` recovery's own is always among them.
    pub public_keys: Vec<String>,
}

impl Grants {
    /// The public keys, 32 bytes each.
    ///
    /// # Errors
    /// When one is none, or there are none: policy would refuse every lend.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>, Failure> {
        if self.public_keys.is_empty() {
            return Err(Failure::Configuration(
                "grants.public_keys is empty, so policy would refuse every lend; `homeward keys grant` prints recovery's key"
                    .into(),
            ));
        }
        let decode = |text: &String| BASE64_STANDARD.decode(text).ok().filter(|key| key.len() == 32);
        let wrong = |text: &String| {
            Failure::Configuration(format!("grants.public_keys: {text:?} is not a public key; expected 32 bytes in base64"))
        };
        self.public_keys.iter().map(|text| decode(text).ok_or_else(|| wrong(text))).collect()
    }

    /// Adds a public key.
    pub fn accept(&mut self, public_key: &[u8]) {
        self.public_keys.push(BASE64_STANDARD.encode(public_key));
    }
}

#[cfg(test)]
mod tests {
    use homeward_chassis::config::{self, Overrides};

    use super::*;

    fn services(value: &str) -> Services {
        config::load(None, &Overrides::from_pairs([("HOMEWARD__POLICY", value)])).unwrap()
    }

    #[test]
    fn a_service_is_at_one_address_or_at_several() {
        assert_eq!(services("https://policy:7443").addresses(Role::Policy), ["https://policy:7443"]);
        let two = services(r#"["https://a:1", "https://b:2"]"#);
        assert_eq!(two.addresses(Role::Policy), ["https://a:1", "https://b:2"]);
        assert!(two.addresses(Role::Directory).is_empty());
    }

    #[test]
    fn a_key_is_thirty_two_bytes_in_base64_and_there_is_one() {
        let mut grants = Grants::default();
        assert!(grants.keys().unwrap_err().to_string().contains("homeward keys grant"));
        grants.accept(&[7; 32]);
        grants.accept(&[8; 32]);
        assert_eq!(grants.keys().unwrap(), [vec![7; 32], vec![8; 32]]);
        grants.public_keys.push("short".into());
        assert!(grants.keys().unwrap_err().to_string().contains("\"short\""));
    }
}
