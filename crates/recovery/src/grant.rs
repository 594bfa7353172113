//! Recovery's key: signs the permission for policy to open one lease, and derives the tokens of the links "this was not me".

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use homeward_types::{Grant, RecoveryId};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{hkdf, hmac};

/// The key file's name in the key folder.
const FILE: &str = "grant.key";

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not an Ed25519 key in PKCS #8 form; put the right file back, or remove it to have a new key made (and tell policy)", .0.display())]
    NotAKey(PathBuf),
    /// The machine has no randomness to give.
    #[error("the machine gave no random numbers for a key")]
    NoRandomness,
}

/// A grant with its signature, as it goes to policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The grant's JSON, exactly as signed.
    pub grant: Vec<u8>,
    /// Ed25519 over it.
    pub signature: Vec<u8>,
}

/// Recovery's private key.
pub struct GrantKey {
    pair: Ed25519KeyPair,
    kid: String,
    not_me: hmac::Key,
}

impl std::fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl GrantKey {
    /// The key in `folder`; made there, readable by its owner only, if there is none. Blocks.
    ///
    /// # Errors
    /// A [`KeyError`].
    pub fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::from_pkcs8(&bytes).ok_or(KeyError::NotAKey(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(&path),
            Err(source) => Err(KeyError::File { doing: "reading the key", path, source }),
        }
    }

    fn create(path: &Path) -> Result<Self, KeyError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandomness)?;
        let mut salt = [0; 8];
        SystemRandom::new().fill(&mut salt).map_err(|_| KeyError::NoRandomness)?;
        let draft = path.with_extension(format!("{}.draft", hex(&salt)));
        // Whole under another name first; a link fails if another process was faster, and then its key counts.
        let made = write_private(&draft, pkcs8.as_ref()).and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft).ok();
        match made {
            Ok(()) => Self::from_pkcs8(pkcs8.as_ref()).ok_or_else(|| KeyError::NotAKey(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let bytes = std::fs::read(path).map_err(|source| KeyError::File {
                    doing: "reading the key",
                    path: path.to_owned(),
                    source,
                })?;
                Self::from_pkcs8(&bytes).ok_or_else(|| KeyError::NotAKey(path.to_owned()))
            }
            Err(source) => Err(KeyError::File { doing: "making the key", path: path.to_owned(), source }),
        }
    }

    /// The key that these bytes hold in PKCS #8 form, if they do.
    pub fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)).ok()?;
        let kid = hex(&digest(&SHA256, pair.public_key().as_ref()).as_ref()[..8]);
        // Another purpose, another key: neither says anything about the other.
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"homeward recovery").extract(bytes);
        let not_me = hmac::Key::from(derived.expand(&[b"this was not me"], hmac::HMAC_SHA256).ok()?);
        Some(Self { pair, kid, not_me })
    }

    /// The public half: 32 bytes, for policy's configuration.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The key's name: the first 16 hexadecimal digits of the SHA-256 of the public half.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs `grant` in its JSON form.
    ///
    /// # Errors
    /// If it has no JSON form, which plain data always has.
    pub fn sign(&self, grant: &Grant) -> Result<Signed, serde_json::Error> {
        let grant = serde_json::to_vec(grant)?;
        let signature = self.pair.sign(&grant).as_ref().to_vec();
        Ok(Signed { grant, signature })
    }

    /// The token in a recovery's links "this was not me". Nobody can guess it, and it is made again for each mail, so that
    /// the database needs to keep its hash only.
    pub fn not_me_token(&self, id: RecoveryId) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.not_me, id.uuid().as_bytes()).as_ref())
    }
}

/// What is stored of a token.
pub fn token_hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use chrono::DateTime;
    use homeward_types::{Factor, Tier};
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn grant() -> Grant {
        Grant {
            lease: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
            organisation: "acme".parse().unwrap(),
            account: "mia".parse().unwrap(),
            email: "mia@example.com".parse().unwrap(),
            home: "strict".parse().unwrap(),
            tier: Tier::Normal,
            factor: Factor::Absent,
            recent_requests: 0,
            repudiated_before: false,
            requester: "rita".parse().unwrap(),
            approvers: vec!["anna".parse().unwrap()],
            diagnosis_hash: "00".into(),
            not_after: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            lease_micros: 1,
        }
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = GrantKey::load_or_create(folder.path()).unwrap();
        let loaded = GrantKey::load_or_create(folder.path()).unwrap();
        assert_eq!(made.public_key(), loaded.public_key());
        let permissions = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "secret").unwrap();
        assert!(matches!(GrantKey::load_or_create(folder.path()), Err(KeyError::NotAKey(_))));
    }

    #[test]
    fn a_signature_covers_exactly_the_bytes_that_are_sent() {
        let folder = tempfile::tempdir().unwrap();
        let key = GrantKey::load_or_create(folder.path()).unwrap();
        let signed = key.sign(&grant()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.public_key());
        assert!(public.verify(&signed.grant, &signed.signature).is_ok());
        assert_eq!(serde_json::from_slice::<Grant>(&signed.grant).unwrap(), grant());
        let mut altered = signed.grant.clone();
        altered[20] ^= 1;
        assert!(public.verify(&altered, &signed.signature).is_err());
        assert_eq!(key.kid(), hex(&digest(&SHA256, key.public_key()).as_ref()[..8]));
    }

    #[test]
    fn a_token_is_the_recoverys_own_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let key = GrantKey::load_or_create(folder.path()).unwrap();
        let (one, other) = (grant().lease.into(), RecoveryId::from_uuid(uuid::Uuid::nil()));
        let token = key.not_me_token(one);
        assert_eq!(token, GrantKey::load_or_create(folder.path()).unwrap().not_me_token(one));
        assert_ne!(token, key.not_me_token(other));
        assert_eq!(token.len(), 43, "256 bits");
        assert_ne!(token_hash(&token), token_hash(&key.not_me_token(other)));
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(token, GrantKey::load_or_create(elsewhere.path()).unwrap().not_me_token(one));
    }
}
