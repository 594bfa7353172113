//! The key that signs checkpoints (Ed25519), and the public half that checks them.

use std::io::Write;
use std::path::Path;

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::StoreError;
use crate::hex::{hex, unhex};

/// Signs checkpoints. Each service has a key of its own.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: VerifyingKey,
}

/// Checks checkpoints. Give it to whoever verifies, by another way than the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key", &self.key.id()).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key in the file at `path`, in PKCS #8 form; made there, readable by its owner only, if there is no such file.
    ///
    /// # Errors
    /// [`StoreError::File`] if it can be neither read nor made, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::from_pkcs8(&bytes).ok_or_else(|| {
                file(
                    path,
                    "reading the Ed25519 key",
                    std::io::Error::new(std::io::ErrorKind::InvalidData, "not a key in PKCS #8 form"),
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(file(path, "reading the Ed25519 key", error)),
        }
    }

    /// The key that these bytes hold in PKCS #8 form, if they do.
    pub fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)).ok()?;
        let key = VerifyingKey { bytes: pair.public_key().as_ref().to_vec() };
        Some(Self { pair, key })
    }

    fn create(path: &Path) -> Result<Self, StoreError> {
        const MAKING: &str = "making an Ed25519 key";
        let unlucky = || file(path, MAKING, std::io::Error::other("the system gave no random bytes"));
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| unlucky())?;
        let signer = Self::from_pkcs8(pkcs8.as_ref()).ok_or_else(unlucky)?;
        // Written whole beside it and renamed only if nobody else was first: two processes may start at once.
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let written = write_private(&draft, pkcs8.as_ref()).and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft).ok();
        match written {
            Ok(()) => Ok(signer),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Self::load_or_create(path),
            Err(error) => Err(file(path, MAKING, error)),
        }
    }

    /// The public half.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex(self.pair.sign(message).as_ref())
    }
}

impl VerifyingKey {
    /// From its 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).filter(|bytes| bytes.len() == 32).map(|bytes| Self { bytes })
    }

    /// Its 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex(&self.bytes)
    }

    /// A short name for it: the first 16 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> String {
        hex(&digest(&SHA256, &self.bytes).as_ref()[..8])
    }

    pub(super) fn checks(&self, message: &[u8], signature: &str) -> bool {
        unhex(signature)
            .is_some_and(|signature| UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, &signature).is_ok())
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(super) fn file(path: &Path, doing: &'static str, source: std::io::Error) -> StoreError {
    StoreError::File { path: path.display().to_string(), doing, source }
}
