//! Between the wire's words and the project's own. Reading the wire is fallible and says which field is wrong.

mod account;
mod diagnosis;

use chrono::{DateTime, Utc};
use homeward_types::{Factor, LeaseEnd, Placement, PlacementVersion, ProofKind, Tier};

use crate::words::v1;

/// Why a message from the wire cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WireError {
    /// The field at fault, as the proto file calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl WireError {
    /// The field is not set although it must be.
    pub fn missing(field: &'static str) -> Self {
        Self { field, problem: "is missing".into() }
    }

    /// The field holds something that cannot be.
    pub fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Self {
        Self { field, problem: problem.to_string() }
    }
}

/// Parses a text field with the type's own check.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(field: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error| WireError::invalid(field, error))
}

/// Parses a text field that may be empty.
pub fn parse_optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<Option<T>, WireError> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

/// A moment as the wire carries it.
pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// A moment from the wire, which may be unset.
pub fn moment_optional(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<Option<DateTime<Utc>>, WireError> {
    at.map(|at| {
        u32::try_from(at.nanos)
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos))
            .ok_or_else(|| WireError::invalid(field, "is not a moment of the calendar"))
    })
    .transpose()
}

/// A moment from the wire, which must be set.
pub fn moment(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<DateTime<Utc>, WireError> {
    moment_optional(field, at)?.ok_or_else(|| WireError::missing(field))
}

impl From<Factor> for v1::Factor {
    fn from(factor: Factor) -> Self {
        match factor {
            Factor::Enrolled => Self::Enrolled,
            Factor::Absent => Self::Absent,
            Factor::Unknown => Self::Unknown,
        }
    }
}

impl From<v1::Factor> for Factor {
    /// What the sender did not say is unknown.
    fn from(factor: v1::Factor) -> Self {
        match factor {
            v1::Factor::Enrolled => Self::Enrolled,
            v1::Factor::Absent => Self::Absent,
            v1::Factor::Unknown | v1::Factor::Unspecified => Self::Unknown,
        }
    }
}

impl From<Tier> for v1::Tier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Normal => Self::Normal,
            Tier::High => Self::High,
        }
    }
}

impl From<v1::Tier> for Tier {
    /// What the sender did not say gets the greater care.
    fn from(tier: v1::Tier) -> Self {
        match tier {
            v1::Tier::Normal => Self::Normal,
            v1::Tier::High | v1::Tier::Unspecified => Self::High,
        }
    }
}

impl From<ProofKind> for v1::ProofKind {
    fn from(kind: ProofKind) -> Self {
        match kind {
            ProofKind::CallBack => Self::CallBack,
            ProofKind::ManagerVouch => Self::ManagerVouch,
            ProofKind::SecondAddress => Self::SecondAddress,
            ProofKind::Vendor => Self::Vendor,
        }
    }
}

impl TryFrom<v1::ProofKind> for ProofKind {
    type Error = WireError;
    fn try_from(kind: v1::ProofKind) -> Result<Self, WireError> {
        match kind {
            v1::ProofKind::CallBack => Ok(Self::CallBack),
            v1::ProofKind::ManagerVouch => Ok(Self::ManagerVouch),
            v1::ProofKind::SecondAddress => Ok(Self::SecondAddress),
            v1::ProofKind::Vendor => Ok(Self::Vendor),
            v1::ProofKind::Unspecified => Err(WireError::missing("kind")),
        }
    }
}

impl From<&LeaseEnd> for v1::LeaseEnd {
    fn from(end: &LeaseEnd) -> Self {
        match end {
            LeaseEnd::Home => Self::Home,
            LeaseEnd::ProtectedElsewhere(_) => Self::ProtectedElsewhere,
            LeaseEnd::Gone => Self::Gone,
            LeaseEnd::Released => Self::Released,
            LeaseEnd::NeverLent => Self::NeverLent,
        }
    }
}

/// A lease's end from its two wire fields; `None` while it is open.
pub fn lease_end(end: v1::LeaseEnd, policy: &str) -> Result<Option<LeaseEnd>, WireError> {
    Ok(match end {
        v1::LeaseEnd::Unspecified => None,
        v1::LeaseEnd::Home => Some(LeaseEnd::Home),
        v1::LeaseEnd::ProtectedElsewhere => Some(LeaseEnd::ProtectedElsewhere(parse("end_policy", policy)?)),
        v1::LeaseEnd::Gone => Some(LeaseEnd::Gone),
        v1::LeaseEnd::Released => Some(LeaseEnd::Released),
        v1::LeaseEnd::NeverLent => Some(LeaseEnd::NeverLent),
    })
}

impl From<&Placement> for v1::Placement {
    fn from(placement: &Placement) -> Self {
        Self {
            account: placement.account.to_string(),
            email: placement.email.as_ref().map(ToString::to_string).unwrap_or_default(),
            policy: placement.policy.as_ref().map(ToString::to_string).unwrap_or_default(),
            version: placement.version.map(|version| version.0),
            begun_at: Some(timestamp(placement.begun_at)),
        }
    }
}

impl TryFrom<&v1::Placement> for Placement {
    type Error = WireError;
    fn try_from(wire: &v1::Placement) -> Result<Self, WireError> {
        Ok(Self {
            account: parse("placement.account", &wire.account)?,
            email: parse_optional("placement.email", &wire.email)?,
            policy: parse_optional("placement.policy", &wire.policy)?,
            version: wire.version.map(PlacementVersion),
            begun_at: moment("placement.begun_at", wire.begun_at)?,
        })
    }
}
