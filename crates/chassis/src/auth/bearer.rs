//! A bearer token, which never shows itself in a log.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tonic::Request;
use tonic::metadata::MetadataValue;

/// A text that cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// Empty, or with a character that a header cannot carry.
    #[error("a token consists of visible ASCII characters without spaces")]
    Characters,
    /// The machine has no randomness to give.
    #[error("the machine gave no random numbers for a token")]
    NoRandomness,
}

/// What a caller proves itself with. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// The token `token`, as configured or typed.
    ///
    /// # Errors
    /// [`BearerError::Characters`]
    pub fn new(token: &str) -> Result<Self, BearerError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BearerError::Characters);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| BearerError::Characters)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// A new token of 256 random bits, for the services of one process.
    ///
    /// # Errors
    /// [`BearerError::NoRandomness`]
    pub fn generate() -> Result<Self, BearerError> {
        let mut bits = [0; 32];
        SystemRandom::new().fill(&mut bits).map_err(|_| BearerError::NoRandomness)?;
        Self::new(&BASE64_URL_SAFE_NO_PAD.encode(bits))
    }

    /// The token in `headers`, to be checked or forwarded.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::new(token_in(headers)?).ok()
    }

    /// Makes `request` in the name of this token, whatever the client would send by itself.
    pub fn attach<T>(&self, request: &mut Request<T>) {
        if let Ok(value) = MetadataValue::try_from(self.0.as_bytes()) {
            request.metadata_mut().insert("authorization", value);
        }
    }

    /// The token itself, for a person to keep.
    pub fn reveal(&self) -> &str {
        self.0.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default()
    }

    /// The SHA-256 of the token in hexadecimal, as the configuration keeps it.
    pub fn sha256(&self) -> String {
        use std::fmt::Write;
        digest_of(self.reveal()).iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// The token in the authorization header; the scheme's case does not matter (RFC 9110, 11.1).
pub(super) fn token_in(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

pub(super) fn digest_of(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
