//! Development or production: what a careless setting may cost decides how strictly it is taken.

use ::config::{Value, ValueKind};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How strictly settings are taken. Default: `development`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One machine, trying things out.
    #[default]
    Development,
    /// Plaintext beyond loopback and secrets that everyone on the machine can read are refused.
    Production,
}

impl Mode {
    /// Refuses what would send tokens and personal data readable over a network; `safe` says that it would not.
    ///
    /// # Errors
    /// [`ConfigError::Setting`], which names `setting`.
    pub(crate) fn check_plaintext(self, setting: &str, address: &str, safe: bool) -> Result<(), ConfigError> {
        match self {
            Self::Production if !safe => Err(ConfigError::Setting {
                place: "mode = \"production\"".to_owned(),
                key: setting.to_owned(),
                reason: format!(
                    "{address} is not on this machine and has no TLS, so tokens would travel readable; \
                     configure TLS, or use a loopback address"
                ),
            }),
            Self::Production | Self::Development => Ok(()),
        }
    }
}

/// The mode that the settings name, before they are checked: secrets are read under it.
pub(super) fn of(settings: &Value) -> Mode {
    let ValueKind::Table(table) = &settings.kind else { return Mode::default() };
    match table.get("mode").map(|value| &value.kind) {
        None => Mode::Development,
        Some(ValueKind::String(text)) if text == "development" => Mode::Development,
        // Whatever else stands there is refused later if it is not a mode; until then the strict one holds.
        Some(_) => Mode::Production,
    }
}
