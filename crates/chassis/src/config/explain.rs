//! Turns what does not fit into what a person needs: where, which, why, and what was probably meant.

use std::path::Path;

use ::config::{Map, Value, ValueKind};
use serde_path_to_error::Segment;

use super::setting::Misfit;
use super::{ConfigError, secret};

/// How alike two names must be for one to be offered in place of the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// A setting, or the table around one that is unknown or missing, that did not fit.
pub(super) struct Misplaced {
    path: Vec<Step>,
    misfit: Misfit,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Misplaced {
    pub(super) fn of(error: serde_path_to_error::Error<Misfit>) -> Self {
        let mut path: Vec<_> = error.path().iter().filter_map(step).collect();
        let misfit = error.into_inner();
        // The path may or may not end with the unknown key itself, depending on how the table around it is read.
        if let (Misfit::UnknownKey { key, .. }, Some(Step::Key(last))) = (&misfit, path.last())
            && key == last
        {
            path.pop();
        }
        Self { path, misfit }
    }

    /// Whether the trouble is `x_file` where a secret `x` is known; then `settings` have it as `x = { file = … }` now.
    pub(super) fn is_a_secret_file(&self, settings: &mut Value) -> bool {
        let Some((key, secret)) = self.secret_of_file() else { return false };
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

    fn secret_of_file(&self) -> Option<(&str, &'static str)> {
        let Misfit::UnknownKey { key, known } = &self.misfit else { return None };
        let secret = key.strip_suffix("_file")?;
        known.iter().find(|name| **name == secret).map(|secret| (key.as_str(), *secret))
    }

    pub(super) fn explain(self, settings: &Value, file: Option<&Path>) -> ConfigError {
        let both = self.secret_of_file().map(|(_, secret)| format!("`{secret}` is set as well; keep one of the two"));
        let mut path = self.path;
        let reason = match self.misfit {
            Misfit::UnknownKey { key, known } => {
                let reason = format!("no such setting{}", suggestion(&key, known, "settings here"));
                path.push(Step::Key(key));
                both.unwrap_or(reason)
            }
            Misfit::MissingKey { key } => {
                path.push(Step::Key(key.to_owned()));
                format!("is missing; set it in the file or as {}", variable(&path))
            }
            Misfit::UnknownChoice { found, known } => {
                format!("{found:?} is not a choice here{}", suggestion(&found, known, "choices"))
            }
            Misfit::Other(reason) => reason,
        };
        ConfigError::Setting { place: place(settings, &path, file), key: written(&path), reason }
    }
}

/// The message of a syntax error without what the caller says already.
pub(super) fn bare_syntax(error: &::config::ConfigError) -> String {
    if let ::config::ConfigError::FileParse { cause, .. } = error {
        return cause.to_string().trim_end().to_owned();
    }
    error.to_string()
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    }
}

fn suggestion(wrong: &str, known: &[&str], what: &str) -> String {
    let closest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match (closest, known.is_empty()) {
        (Some((_, name)), _) => format!("; did you mean `{name}`?"),
        (None, true) => String::new(),
        (None, false) => format!("; the {what} are `{}`", known.join("`, `")),
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

/// The variable that sets what is at `path`, or the list around it: a list can only be set as a whole.
fn variable(path: &[Step]) -> String {
    let keys = path.iter().map_while(|step| match step {
        Step::Key(key) => Some(key.to_uppercase()),
        Step::Index(_) => None,
    });
    format!("HOMEWARD__{}", keys.collect::<Vec<_>>().join("__"))
}

/// `persons[2].name`
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => {
                text.push('[');
                text.push_str(&index.to_string());
                text.push(']');
            }
        }
    }
    text
}
