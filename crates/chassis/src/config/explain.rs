//! Turns what serde says about a setting into what a person needs: where, which, why, and what was probably meant.

use std::path::Path;

use ::config::{Map, Value, ValueKind};
use serde_path_to_error::Segment;

use super::{ConfigError, secret};

/// How alike two names must be for one to be offered in place of the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// What serde did not like, and where.
pub(super) struct Misfit {
    path: Vec<Step>,
    problem: Problem,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

enum Problem {
    UnknownKey { key: String, known: Vec<String> },
    MissingKey { key: String },
    UnknownChoice { found: String, known: Vec<String> },
    Other(String),
}

impl Misfit {
    pub(super) fn of(error: &serde_path_to_error::Error<::config::ConfigError>) -> Self {
        let mut path: Vec<_> = error.path().iter().filter_map(step).collect();
        let problem = problem(error.inner());
        // Depending on the shape around it, serde counts the unknown key itself as part of the path, or not.
        if let (Problem::UnknownKey { key, .. }, Some(Step::Key(last))) = (&problem, path.last())
            && key == last
        {
            path.pop();
        }
        Self { path, problem }
    }

    /// Whether the trouble is `x_file` where a secret `x` is known; then `settings` have it as `x = { file = … }` now.
    pub(super) fn is_a_secret_file(&self, settings: &mut Value) -> bool {
        let Problem::UnknownKey { key, known } = &self.problem else { return false };
        let Some(secret) = key.strip_suffix("_file").filter(|secret| known.iter().any(|name| name == secret)) else {
            return false;
        };
        let Some(ValueKind::Table(table)) = find_mut(settings, &self.path).map(|value| &mut value.kind) else { return false };
        if table.contains_key(secret) {
            return false;
        }
        let Some(file) = table.remove(key) else { return false };
        let place = file.origin().map(str::to_owned);
        let inner = Map::from_iter([(secret::FILE.to_owned(), file)]);
        table.insert(secret.to_owned(), Value::new(place.as_ref(), ValueKind::Table(inner)));
        true
    }

    pub(super) fn explain(self, settings: &Value, file: Option<&Path>) -> ConfigError {
        let mut path = self.path;
        let reason = match self.problem {
            Problem::UnknownKey { key, known } => {
                let reason = format!("no such setting{}", suggestion(&key, &known, "settings here"));
                path.push(Step::Key(key));
                reason
            }
            Problem::MissingKey { key } => {
                path.push(Step::Key(key));
                let variable = format!("HOMEWARD__{}", names(&path).join("__").to_uppercase());
                format!("is missing; set it in the file or as {variable}")
            }
            Problem::UnknownChoice { found, known } => {
                format!("{found:?} is not a choice here{}", suggestion(&found, &known, "choices"))
            }
            Problem::Other(reason) => reason,
        };
        ConfigError::Setting { place: place(settings, &path, file), key: written(&path), reason }
    }
}

/// The message of a syntax error without what the caller says already.
pub(super) fn bare_syntax(error: &::config::ConfigError) -> String {
    match error {
        ::config::ConfigError::FileParse { cause, .. } => cause.to_string().trim_end().to_owned(),
        other => other.to_string(),
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    }
}

fn problem(error: &::config::ConfigError) -> Problem {
    use ::config::ConfigError as E;
    match error {
        E::At { error, .. } => problem(error),
        E::NotFound(key) => Problem::MissingKey { key: key.clone() },
        E::Type { unexpected, expected, .. } => Problem::Other(format!("expected {expected}, found {unexpected}")),
        other => of_message(&other.to_string()),
    }
}

/// Reads serde's own sentences (`serde::de::Error`), which carry the names in backticks.
fn of_message(message: &str) -> Problem {
    let quoted: Vec<String> = message.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    match quoted.split_first() {
        Some((key, known)) if message.starts_with("unknown field ") => {
            Problem::UnknownKey { key: key.clone(), known: known.to_vec() }
        }
        Some((key, [])) if message.starts_with("missing field ") => Problem::MissingKey { key: key.clone() },
        Some((found, known)) if message.starts_with("unknown variant ") => {
            Problem::UnknownChoice { found: found.clone(), known: known.to_vec() }
        }
        _ => Problem::Other(message.to_owned()),
    }
}

fn suggestion(wrong: &str, known: &[String], what: &str) -> String {
    let closest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match (closest, known.is_empty()) {
        (Some((_, name)), _) => format!("; did you mean `{name}`?"),
        (None, true) => String::new(),
        (None, false) => format!("; the {what} are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// Where the setting, or the closest table around it, comes from.
fn place(settings: &Value, path: &[Step], file: Option<&Path>) -> String {
    let origin = (0..=path.len()).rev().find_map(|length| find(settings, &path[..length])?.origin().map(str::to_owned));
    origin.or_else(|| file.map(|file| file.display().to_string())).unwrap_or_else(|| "the configuration".to_owned())
}

fn find<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match (&value.kind, step) {
        (ValueKind::Table(table), Step::Key(key)) => table.get(key),
        (ValueKind::Array(values), Step::Index(index)) => values.get(*index),
        (_, Step::Key(_) | Step::Index(_)) => None,
    })
}

fn find_mut<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match (&mut value.kind, step) {
        (ValueKind::Table(table), Step::Key(key)) => table.get_mut(key),
        (ValueKind::Array(values), Step::Index(index)) => values.get_mut(*index),
        (_, Step::Key(_) | Step::Index(_)) => None,
    })
}

fn names(path: &[Step]) -> Vec<String> {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        })
        .collect()
}

/// `persons[2].name`
fn written(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    })
}
