//! Settings from outside the file: the environment, and `--set` on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use ::config::{Map, Value, ValueKind};

use super::{ConfigError, parse};

const PREFIX: &str = "HOMEWARD__";

/// Settings that win over the file, the later over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    settings: Vec<Override>,
    withheld: Vec<&'static str>,
}

/// What stands in place of a secret that this process must not have.
const WITHHELD: &str = "(withheld)";

#[derive(Debug, Clone)]
struct Override {
    /// The variable or option, for error messages.
    place: String,
    path: Vec<String>,
    text: String,
}

impl Overrides {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of this process's environment: `HOMEWARD__POLICY__BATCH=50` sets `policy.batch`.
    pub fn from_environment() -> Self {
        let unicode = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::from_pairs(std::env::vars_os().filter_map(unicode))
    }

    /// Those of `pairs`, as if they were the environment; others than `HOMEWARD__…` are passed over.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut overrides: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.into();
                let path = name.strip_prefix(PREFIX)?.split("__").map(str::to_lowercase).collect();
                Some(Override { path, text: value.into(), place: format!("the environment variable {name}") })
            })
            .collect();
        // The environment has no order; a table must not depend on which of its keys came first.
        overrides.sort_by(|a, b| a.path.cmp(&b.path));
        Self { settings: overrides, withheld: Vec::new() }
    }

    /// Adds one by its name with dots, as the option `option` gave it. Wins over the environment.
    #[must_use]
    pub fn with(mut self, option: &str, key: &str, text: &str) -> Self {
        let path = key.split('.').map(str::to_owned).collect();
        self.settings.push(Override { place: format!("the option {option}"), path, text: text.to_owned() });
        self
    }

    /// Leaves these secrets (names with dots, `*` for each entry of a list) unread: this process must not have them, and their
    /// files need not be there.
    #[must_use]
    pub fn withholding(mut self, secrets: &[&'static str]) -> Self {
        self.withheld.extend_from_slice(secrets);
        self
    }

    pub(super) fn apply(&self, mut settings: Value) -> Result<Value, ConfigError> {
        for Override { place, path, text } in &self.settings {
            let value = read(text, place)?;
            put(&mut settings, path, value, place);
        }
        for secret in &self.withheld {
            withhold(&mut settings, &secret.split('.').collect::<Vec<_>>());
        }
        Ok(settings)
    }
}

/// Where a crash test wants the crash boundaries recorded: `HOMEWARD_BOUNDARY_FILE`. Not a setting: it has no place in
/// the file, and no effect on what Homeward does.
pub fn boundary_file() -> Option<PathBuf> {
    std::env::var_os("HOMEWARD_BOUNDARY_FILE").map(PathBuf::from)
}

/// Where a crash test says at which crash boundaries to halt: `HOMEWARD_BOUNDARY_HALT`. Not a setting either.
pub fn boundary_halt() -> Option<PathBuf> {
    std::env::var_os("HOMEWARD_BOUNDARY_HALT").map(PathBuf::from)
}

/// A text as a value. A number is only taken as one if nothing is lost by that: `0123` may be a password.
fn read(text: &str, place: &str) -> Result<Value, ConfigError> {
    if text.starts_with(['[', '{']) {
        let wrapped = parse(&format!("value = {text}"), place)?;
        if let ValueKind::Table(mut table) = wrapped.kind
            && let Some(value) = table.remove("value")
        {
            return Ok(value);
        }
    }
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    let kind = match (text, number) {
        ("true", _) => ValueKind::Boolean(true),
        ("false", _) => ValueKind::Boolean(false),
        (_, Some(number)) => ValueKind::I64(number),
        (_, None) => ValueKind::String(text.to_owned()),
    };
    Ok(Value::new(Some(&place.to_owned()), kind))
}

/// Takes a secret, or the path of its file, away.
fn withhold(settings: &mut Value, path: &[&str]) {
    let Some((key, rest)) = path.split_first() else { return };
    match &mut settings.kind {
        ValueKind::Array(entries) if *key == "*" => entries.iter_mut().for_each(|entry| withhold(entry, rest)),
        ValueKind::Table(table) if rest.is_empty() => {
            let (text, file) = (table.remove(*key), table.remove(&format!("{key}_file")));
            if text.is_some() || file.is_some() {
                table.insert((*key).to_owned(), Value::new(None, ValueKind::String(WITHHELD.to_owned())));
            }
        }
        ValueKind::Table(table) => {
            if let Some(inner) = table.get_mut(*key) {
                withhold(inner, rest);
            }
        }
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Array(_) => {}
    }
}

fn put(settings: &mut Value, path: &[String], value: Value, place: &str) {
    let Some((key, rest)) = path.split_first() else {
        *settings = value;
        return;
    };
    if !matches!(settings.kind, ValueKind::Table(_)) {
        *settings = Value::new(Some(&place.to_owned()), ValueKind::Table(Map::new()));
    }
    if let ValueKind::Table(table) = &mut settings.kind {
        let empty = || Value::new(Some(&place.to_owned()), ValueKind::Nil);
        put(table.entry(key.clone()).or_insert_with(empty), rest, value, place);
    }
}
