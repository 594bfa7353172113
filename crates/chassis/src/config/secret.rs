//! A secret setting: given as text or as a file, never shown.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ::config::{Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Mode;

/// The key under which a secret's file stands, after `x_file = "…"` was rewritten to `x = { file = "…" }`.
pub(super) const FILE: &str = "file";

/// By this name a secret asks for its value, so that whoever hands it out can look where it comes from.
const NAME: &str = "homeward::Secret";

/// How the configuration that is being read takes secrets.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// Development or production.
    pub(super) mode: Mode,
    /// The configuration file, as the origins of values call it, if everyone on the machine can read it.
    pub(super) exposed: Option<String>,
}

thread_local! {
    /// The configuration that this thread is reading. Reading does not wait, so it stays on its thread.
    static READING: RefCell<Reading> = const { RefCell::new(Reading { mode: Mode::Development, exposed: None }) };
}

/// Reads settings so that secrets among them are taken as `how` asks.
pub(super) fn reading<T>(how: &Reading, read: impl FnOnce() -> T) -> T {
    let before = READING.replace(how.clone());
    let outcome = read();
    READING.set(before);
    outcome
}

/// Whether everyone on the machine can read the file.
pub(super) fn all_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & EVERYONE != 0)
}

/// Why a value that stands at `origin` may not be taken as a secret, if it is asked for as one.
pub(super) fn objection(asked_as: &str, value: &Value) -> Option<String> {
    let literal = asked_as == NAME && !matches!(value.kind, ValueKind::Table(_));
    let exposed = READING.with_borrow(|reading| reading.exposed.clone().filter(|_| reading.mode == Mode::Production))?;
    (literal && value.origin() == Some(exposed.as_str())).then(|| {
        format!(
            "the secret stands in {exposed}, which everyone on this machine can read, and production does not allow that; \
             run chmod o-r {exposed}, or give it as the path of a file under the same name with `_file`"
        )
    })
}

/// The right of others to read.
const EVERYONE: u32 = 0o004;

/// A key, password or token. Neither `Debug`, nor serialising (`homeward config print`), nor an error shows it.
///
/// In TOML `api_key = "…"`, or `api_key_file = "/run/secrets/api_key"`; the file's last line break is not part of it.
/// In production a file that everyone on the machine can read is refused.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// A secret from elsewhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself: hand it to whoever needs it, and keep no copy.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    fn from_file(file: &Path, mode: Mode) -> Result<Self, String> {
        let name = file.display();
        let cannot = |error| format!("cannot read the secret in {name}: {error}");
        let rights = std::fs::metadata(file).map_err(cannot)?.permissions().mode();
        if mode == Mode::Production && rights & EVERYONE != 0 {
            return Err(format!(
                "the secret in {name} can be read by everyone on this machine, which production does not allow; run chmod o-r {name}"
            ));
        }
        let text = std::fs::read_to_string(file).map_err(cannot)?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() { Err(format!("the secret in {name} is empty")) } else { Ok(Self::new(text)) }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, SecretVisitor)
    }
}

/// Accepts what a secret may be given as. No message of its repeats a value.
struct SecretVisitor;

const EXPECTED: &str = "expected a text, or the path of a file under the same name with `_file`";

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a file")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Secret, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        if text.is_empty() { Err(E::custom("the secret is empty")) } else { Ok(Secret::new(text)) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Secret, E> {
        // A numeric password in the environment; it was only read as a number because nothing is lost by that.
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        match map.next_entry::<String, PathBuf>()? {
            Some((key, file)) if key == FILE => {
                Secret::from_file(&file, READING.with_borrow(|reading| reading.mode)).map_err(A::Error::custom)
            }
            Some(_) | None => Err(A::Error::custom(EXPECTED)),
        }
    }
}
