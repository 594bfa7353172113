//! Configuration: one TOML file, overridden by `HOMEWARD__SECTION__KEY` in the environment, read once at the start.
//!
//! Every crate has its own `Config` with `#[serde(deny_unknown_fields)]`; the binary composes them. A key that nobody
//! knows, or a value that cannot be, is refused with the file (or variable), the key, and the reason.
//!
//! ```
//! use homeward_chassis::config::{self, Overrides, Secret};
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config { address: String, api_key: Option<Secret> }
//!
//! let environment = Overrides::from_pairs([("HOMEWARD__ADDRESS", "https://api.atlassian.com")]);
//! let config: Config = config::load(None, &environment)?;
//! assert_eq!(config.address, "https://api.atlassian.com");
//!
//! let misspelt = Overrides::from_pairs([("HOMEWARD__ADDRES", "https://api.atlassian.com")]);
//! let error = config::load::<Config>(None, &misspelt).err().unwrap().to_string();
//! assert!(error.contains("did you mean `address`?"), "{error}");
//! # Ok::<(), homeward_chassis::config::ConfigError>(())
//! ```
//!
//! The outermost `Config` has a field `mode: Mode`, which decides how strictly the rest is taken.
//! A value in the environment is a text, a number or a truth; one that begins with `[` or `{` is read as TOML.
//! Any secret `x` may be given as `x_file`, the path of a file that holds it.

mod explain;
mod mode;
mod overrides;
mod secret;
mod setting;

use std::path::{Path, PathBuf};

use ::config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

pub use mode::Mode;
pub use overrides::{Overrides, boundary_file, boundary_halt};
pub use secret::Secret;

use explain::Misplaced;
use setting::Setting;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file, or a value in the environment, is not TOML.
    #[error("{place} is not valid TOML: {reason}")]
    Syntax {
        /// The file or the variable.
        place: String,
        /// Where and why.
        reason: String,
    },
    /// One setting is wrong.
    #[error("{place}: `{key}`: {reason}")]
    Setting {
        /// The file or the variable that it comes from.
        place: String,
        /// The setting, with dots.
        key: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Reads `path` (or nothing, if all comes from the environment), applies `overrides`, and checks it against `T`.
///
/// # Errors
/// A [`ConfigError`] for the first setting that is wrong.
pub fn load<T: DeserializeOwned>(path: Option<&Path>, overrides: &Overrides) -> Result<T, ConfigError> {
    let mut settings = overrides.apply(read(path)?)?;
    let reading =
        secret::Reading { mode: mode::of(&settings), exposed: path.filter(|path| secret::all_may_read(path)).map(place_of) };
    // Each round turns one `x_file` into the secret `x`, so the rounds are at most as many as there are settings.
    loop {
        let setting = Setting(settings.clone());
        let misfit = match secret::reading(&reading, || serde_path_to_error::deserialize::<_, T>(setting)) {
            Ok(read) => return Ok(read),
            Err(error) => Misplaced::of(error),
        };
        if !misfit.is_a_secret_file(&mut settings) {
            return Err(misfit.explain(&settings, path));
        }
    }
}

fn read(path: Option<&Path>) -> Result<Value, ConfigError> {
    let Some(path) = path else { return Ok(Value::new(None, ValueKind::Table(::config::Map::new()))) };
    let place = place_of(path);
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { file: path.to_owned(), source })?;
    parse(&text, &place)
}

/// How errors and the origins of values call the file.
fn place_of(path: &Path) -> String {
    path.display().to_string()
}

/// Parses TOML and notes in every value where it comes from.
fn parse(text: &str, place: &str) -> Result<Value, ConfigError> {
    let parsed = Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build();
    let mut value =
        parsed.map_err(|error| ConfigError::Syntax { place: place.to_owned(), reason: explain::bare_syntax(&error) })?.cache;
    stamp(&mut value, place);
    Ok(value)
}

/// Sets the origin of `value` and all within it.
fn stamp(value: &mut Value, place: &str) {
    let place_name = place.to_owned();
    let mut kind = std::mem::replace(&mut value.kind, ValueKind::Nil);
    match &mut kind {
        ValueKind::Table(table) => table.values_mut().for_each(|inner| stamp(inner, place)),
        ValueKind::Array(values) => values.iter_mut().for_each(|inner| stamp(inner, place)),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_) => {}
    }
    *value = Value::new(Some(&place_name), kind);
}
