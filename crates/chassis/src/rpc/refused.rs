//! A refusal that a person can act on: what, why, and what to do next.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt};

use crate::telemetry::TraceContext;

/// Whose reasons these are, as `google.rpc.ErrorInfo` wants to know.
const DOMAIN: &str = "homeward";
/// The metadata key that holds what to do next.
const REMEDY: &str = "remedy";

/// Why a call was refused, the same on both sides of the wire (`google.rpc.ErrorInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The gRPC code.
    #[serde(serialize_with = "code_name")]
    pub code: Code,
    /// For programs: `UPPER_SNAKE`, stable.
    pub reason: Cow<'static, str>,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what to do next.
    pub remedy: String,
    /// More for programs, for example the id of the recovery that is open already. Never personal data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl Refused {
    /// A refusal with a code of its own; prefer the named constructors.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { code, reason: Cow::Borrowed(reason), message, remedy, facts: BTreeMap::new() }
    }

    /// The request itself makes no sense, whatever the state of the system.
    pub fn invalid(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, reason, message, remedy)
    }

    /// What is asked for does not exist.
    pub fn not_found(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::NotFound, reason, message, remedy)
    }

    /// The state of the system does not allow it.
    pub fn precondition(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message, remedy)
    }

    /// It exists already, with other contents.
    pub fn exists(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, reason, message, remedy)
    }

    /// The caller is known but may not.
    pub fn denied(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, reason, message, remedy)
    }

    /// The caller is not known.
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message, remedy)
    }

    /// Too much at once; the same call can succeed later.
    pub fn exhausted(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, reason, message, remedy)
    }

    /// Something that we need does not answer; the same call can succeed later.
    pub fn unavailable(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, reason, message, remedy)
    }

    /// A fault of ours. The cause goes into the log, not to the caller.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %crate::error_chain(cause), "a call failed by a fault of ours");
        let refused = Self::new(
            Code::Internal,
            "INTERNAL",
            "Homeward failed to do this",
            "try again; if it happens again, give the trace id to whoever runs Homeward: the log has the cause",
        );
        match TraceContext::current().trace_id() {
            Some(trace) => refused.with("trace_id", trace),
            None => refused,
        }
    }

    /// No answer within `allowed`, on whichever side the clock ran out.
    pub(super) fn too_late(allowed: Duration) -> Self {
        Self::new(
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            format!("no answer within {allowed:?}"),
            usual_remedy(Code::DeadlineExceeded),
        )
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.insert(name.to_owned(), value.to_string());
        self
    }

    /// Whether the same call may succeed a little later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted)
    }

    /// What a status says; one without details gets the code's name as its reason.
    pub fn from_status(status: &Status) -> Self {
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let Some(info) = info else { return Self::bare(status) };
        let mut facts: BTreeMap<_, _> = info.metadata.into_iter().collect();
        let remedy = facts.remove(REMEDY).unwrap_or_default();
        Self { code: status.code(), reason: Cow::Owned(info.reason), message: status.message().to_owned(), remedy, facts }
    }

    /// A status without details: of another make of server, or made by the client because no answer came.
    fn bare(status: &Status) -> Self {
        let (code, reason) = if crate::causes(status).any(<dyn Error>::is::<TimeoutExpired>) {
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        } else if crate::causes(status).any(<dyn Error>::is::<ConnectError>) {
            (Code::Unavailable, "UNREACHABLE")
        } else if status.source().is_some() {
            // Whatever tonic made of it: the transport failed, and nobody can say whether the call took effect.
            (Code::Unavailable, "CONNECTION_LOST")
        } else {
            (status.code(), name_of(status.code()))
        };
        let message = match (reason, status.message()) {
            ("UNREACHABLE", _) => format!("the service cannot be reached{}", innermost(status)),
            ("CONNECTION_LOST", _) => format!("the connection was lost before the answer came{}", innermost(status)),
            (_, "") => code.description().to_owned(),
            (_, message) => message.to_owned(),
        };
        Self::new(code, reason, message, usual_remedy(code))
    }
}

/// The last cause, which says most: `: Connection refused (os error 111)`.
fn innermost(status: &Status) -> String {
    crate::causes(status).last().map_or_else(String::new, |cause| format!(": {cause}"))
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let mut metadata: HashMap<_, _> = refused.facts.into_iter().map(|(name, fact)| (name, cut(fact))).collect();
        metadata.insert(REMEDY.to_owned(), cut(refused.remedy));
        let details = ErrorDetails::with_error_info(refused.reason, DOMAIN, metadata);
        Self::with_error_details(refused.code, cut(refused.message), details)
    }
}

/// A status travels in headers, of which HTTP/2 takes 16 KiB, each text twice and encoded; more would break the stream.
fn cut(mut text: String) -> String {
    const LONGEST: usize = 1024;
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl Error for Refused {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn code_name<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name_of(*code))
}

/// The code's name as the gRPC documentation spells it.
pub(crate) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn usual_remedy(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "check that the service runs and that its address is right, then try again",
        Code::DeadlineExceeded => "try again; the first call may still take effect, and repeating it is safe",
        Code::Unimplemented => "the service is of another version or another service; check its address",
        Code::Unauthenticated => "give a token that the service knows",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => "",
    }
}
