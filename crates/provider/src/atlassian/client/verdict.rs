//! The table of answers: for each call and each way to fail, what to do, and whether it proves "not taken".

use std::time::Duration;

use crate::atlassian::fault::Fault;
use crate::atlassian::paths::{Effect, Endpoint, Missing};
use crate::error::{ErrorClass, ProviderError};

/// The least time before a call that failed by chance is worth trying again; callers wait longer from try to try.
const SOON: Duration = Duration::from_millis(100);

/// A call that did not succeed, with what the provider said.
#[derive(Debug)]
pub(in crate::atlassian) struct Failed {
    pub(in crate::atlassian) error: ProviderError,
    /// What the provider said, if it answered.
    pub(in crate::atlassian) fault: Option<Fault>,
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Failed {
    fn new(endpoint: &Endpoint, class: ErrorClass, status: Option<u16>, sentence: String) -> Self {
        let error = ProviderError::new(endpoint.name, class, status, sentence);
        let error = if endpoint.effect == Effect::Read { error.not_taken() } else { error };
        Self { error, fault: None }
    }

    fn not_sent(endpoint: &Endpoint, class: ErrorClass, sentence: String) -> Self {
        Self { error: ProviderError::new(endpoint.name, class, None, sentence).not_taken(), fault: None }
    }

    /// It cannot even be written down as a request.
    pub(super) fn impossible(endpoint: &Endpoint, reason: &str) -> Self {
        Self::not_sent(endpoint, ErrorClass::PermanentForAccount, format!("not sent: {reason}"))
    }

    /// Our own budget holds it back.
    pub(super) fn limited(endpoint: &Endpoint, wait: Duration) -> Self {
        let sentence = format!("not sent: the provider's rate limit leaves no room for {} s", wait.as_secs().max(1));
        let failed = Self::not_sent(endpoint, ErrorClass::Retry { after: wait }, sentence);
        Self { error: failed.error.for_the_rate(), ..failed }
    }

    /// Its moment has passed.
    pub(super) fn too_late(endpoint: &Endpoint) -> Self {
        let sentence = "not sent: the time until which it might be sent is over".into();
        Self::not_sent(endpoint, ErrorClass::Retry { after: Duration::ZERO }, sentence)
    }

    /// No answer came.
    pub(super) fn unanswered(endpoint: &Endpoint, error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::impossible(endpoint, "the request could not be built");
        }
        if error.is_connect() {
            let what = if error.is_dns() { "the provider's name could not be resolved" } else { "no connection to the provider" };
            let sentence = format!("{what}; nothing was sent. Check base_url and the network");
            return Self::not_sent(endpoint, ErrorClass::Retry { after: SOON }, sentence);
        }
        let what = if error.is_timeout() { "no answer in time" } else { "the connection was cut before an answer" };
        match endpoint.effect {
            Effect::Read => Self::new(endpoint, ErrorClass::Retry { after: SOON }, None, what.into()),
            Effect::Write { .. } => Self::new(endpoint, ErrorClass::Ambiguous, None, format!("{what}; it may have taken effect")),
        }
    }

    /// An answer came whose body could not be read or understood.
    pub(in crate::atlassian) fn unreadable(endpoint: &Endpoint, status: u16, reason: &str) -> Self {
        match endpoint.effect {
            Effect::Read => Self::new(endpoint, ErrorClass::Retry { after: SOON }, Some(status), reason.into()),
            Effect::Write { refusals } if status == 429 && refusals.contains(&status) => {
                let failed = Self::new(endpoint, ErrorClass::Retry { after: SOON }, Some(status), reason.into());
                Self { error: failed.error.not_taken(), ..failed }
            }
            Effect::Write { .. } => {
                let sentence = format!("{reason}; it may have taken effect");
                Self::new(endpoint, ErrorClass::Ambiguous, Some(status), sentence)
            }
        }
    }

    /// The provider answered with something other than a success.
    pub(super) fn refused(endpoint: &Endpoint, status: u16, body: &[u8], wait: Duration) -> Self {
        let fault = Fault::of(body);
        let (proved, ambiguous) = match endpoint.effect {
            Effect::Read => (true, false),
            Effect::Write { refusals } => {
                // A page that is not the provider's own may stand before an answer that we never saw.
                let proved = refusals.contains(&status) && (fault.genuine || status == 429);
                (proved, !proved)
            }
        };
        let class = if ambiguous { ErrorClass::Ambiguous } else { class(endpoint, status, &fault, wait) };
        let error = ProviderError::new(endpoint.name, class, Some(status), sentence(endpoint, status, &fault));
        let error = if status == 429 { error.for_the_rate() } else { error };
        Self { error: if proved { error.not_taken() } else { error }, fault: Some(fault) }
    }

    /// Whether the key, not the request, was refused.
    pub(super) fn refuses_the_key(&self) -> bool {
        matches!(self.error.status, Some(401 | 403)) && self.error.class == ErrorClass::PermanentForOrganisation
    }

    /// Whether the provider itself said that the thing named is not there.
    pub(in crate::atlassian) fn says_missing(&self) -> bool {
        self.error.status == Some(404) && self.fault.as_ref().is_some_and(|fault| fault.genuine && !fault.empty)
    }

    /// Whether the call as a whole was refused for something in it, so that parts of it may go through.
    pub(in crate::atlassian) fn refuses_the_batch(&self) -> bool {
        matches!(self.error.status, Some(400 | 413 | 422)) && self.error.proves_not_taken()
    }

    /// The provider's code, empty if it gave none.
    pub(in crate::atlassian) fn code(&self) -> &str {
        self.fault.as_ref().map_or("", |fault| fault.code.as_str())
    }

    /// For the span of a call without an answer.
    pub(super) fn kind(&self) -> &'static str {
        match self.error.class {
            ErrorClass::Retry { .. } => "retry",
            ErrorClass::PermanentForAccount => "permanent_for_account",
            ErrorClass::PermanentForPolicy => "permanent_for_policy",
            ErrorClass::PermanentForOrganisation => "permanent_for_organisation",
            ErrorClass::Ambiguous => "ambiguous",
        }
    }
}

/// What to do about an answer that is not a success. For writes, only those that prove "not taken" get here.
fn class(endpoint: &Endpoint, status: u16, fault: &Fault, wait: Duration) -> ErrorClass {
    match status {
        401 | 300..400 => ErrorClass::PermanentForOrganisation,
        403 if fault.code.starts_with("forbidden.action")
            || matches!(fault.code.as_str(), "forbidden" | "forbidden.targetUnverified" | "forbidden.unclaimedDomain") =>
        {
            ErrorClass::PermanentForAccount
        }
        403 if fault.genuine => ErrorClass::PermanentForOrganisation,
        404 if fault.genuine && !fault.empty => match endpoint.missing {
            Missing::Organisation => ErrorClass::PermanentForOrganisation,
            Missing::Policy => ErrorClass::PermanentForPolicy,
            Missing::Account => ErrorClass::PermanentForAccount,
        },
        400 | 409 | 413 | 422 => ErrorClass::PermanentForAccount,
        429 => ErrorClass::Retry { after: wait },
        _ => ErrorClass::Retry { after: SOON },
    }
}

/// What happened and what helps, with the provider's own words.
fn sentence(endpoint: &Endpoint, status: u16, fault: &Fault) -> String {
    let what = match status {
        401 => "the key was refused (revoked, expired or mistyped); make a new API key and put it into the configuration",
        403 if fault.code == "forbidden.insufficientScope" => {
            "this API refuses keys with scopes; set unscoped_key to an API key without scopes"
        }
        403 => "the key may not do this; check its scopes and that its administrator still is one",
        404 => match endpoint.missing {
            Missing::Organisation => "not found; check org_id, directory_id and base_url",
            Missing::Policy => "the policy was not found; check the policy ids in the configuration",
            Missing::Account => "not found",
        },
        400 | 413 | 422 => "the request was refused",
        409 => "the account is in a state that does not allow it",
        429 => "the rate limit is used up",
        300..400 => "a redirect, which is never followed; check base_url",
        500..600 => "the provider failed",
        _ => "an answer that is not documented",
    };
    let words = [fault.code.as_str(), fault.words.as_str()].into_iter().filter(|words| !words.is_empty());
    let words = words.collect::<Vec<_>>().join(": ");
    match (fault.genuine, words.is_empty()) {
        (false, _) => format!("{status}: {what} (the body is not the provider's; something between may have answered)"),
        (true, true) => format!("{status}: {what}"),
        (true, false) => format!("{status}: {what} ({words})"),
    }
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
