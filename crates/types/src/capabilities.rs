//! What a provider can do, as far as decisions depend on it.

use serde::{Deserialize, Serialize};

/// How an old factor is removed at this provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetMethod {
    /// By a call.
    Api,
    /// By a person on the provider's own page; proved by a read, never by the person's word.
    Person,
}

/// Whether placement versions of an organisation may be believed (rule 3): only after one lend showed a later
/// version and one return another, later still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct VersionTrust {
    /// A lend was seen with a version later than home's.
    pub lend_seen: bool,
    /// A return was seen with a version later than the newest out.
    pub return_seen: bool,
}

impl VersionTrust {
    /// Both halves were seen.
    pub fn trusted(self) -> bool {
        self.lend_seen && self.return_seen
    }
}
