//! How a lease can end, and why a lend can be refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::PolicyId;

/// The four ends of a lease that was opened, and the one of an id that never was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseEnd {
    /// Seen back in its home policy.
    Home,
    /// Seen in another protecting policy: left there, announced.
    ProtectedElsewhere(PolicyId),
    /// Not found, or no longer managed, by two different calls at least ten minutes apart.
    Gone,
    /// Two persons and a reason; stays in the report for ever.
    Released,
    /// The id was closed before any lease was opened under it.
    NeverLent,
}

impl LeaseEnd {
    /// The end's stored and printed name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::ProtectedElsewhere(_) => "protected_elsewhere",
            Self::Gone => "gone",
            Self::Released => "released",
            Self::NeverLent => "never_lent",
        }
    }
}

impl fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtectedElsewhere(policy) => write!(f, "protected_elsewhere ({policy})"),
            Self::Home | Self::Gone | Self::Released | Self::NeverLent => f.write_str(self.name()),
        }
    }
}

/// Why policy refused to open a lease. The id is closed as [`LeaseEnd::NeverLent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The account is no longer what was approved: not a lending outcome, another home, another holder of the address, or a higher tier.
    Changed,
    /// Another lease of this account is open, or a return for this id came first.
    Busy,
    /// The lend came after its `not_after`.
    Expired,
    /// Policy's own hard cap.
    Cap,
    /// No valid grant.
    Grant,
    /// Policy is draining: no new lends.
    Draining,
}

impl Refusal {
    /// The refusal's stored and printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::Expired => "expired",
            Self::Cap => "cap",
            Self::Grant => "grant",
            Self::Draining => "draining",
        }
    }
}
