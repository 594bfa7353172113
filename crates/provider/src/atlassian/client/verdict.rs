//! The table of answers: for each call and each way to fail, what to do, and whether it proves "not taken".

use std::time::Duration;

use crate::atlassian::fault::Fault;
use crate::atlassian::paths::{Effect, Endpoint, Missing};
use crate::error::{ErrorClass, ProviderError};
use crate::reason::Reason;

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
    fn new(endpoint: &Endpoint, class: ErrorClass, status: Option<u16>, reason: Reason, sentence: String) -> Self {
        let error = ProviderError::new(endpoint.name, class, status, sentence).because(reason);
        let error = if endpoint.effect == Effect::Read { error.not_taken() } else { error };
        Self { error, fault: None }
    }

    fn not_sent(endpoint: &Endpoint, class: ErrorClass, reason: Reason, sentence: String) -> Self {
        Self { error: ProviderError::new(endpoint.name, class, None, sentence).because(reason).not_taken(), fault: None }
    }

    /// It cannot even be written down as a request.
    pub(super) fn impossible(endpoint: &Endpoint, reason: &str) -> Self {
        Self::not_sent(endpoint, ErrorClass::PermanentForAccount, Reason::Impossible, format!("not sent: {reason}"))
    }

    /// Our own budget holds it back.
    pub(super) fn limited(endpoint: &Endpoint, wait: Duration) -> Self {
        let sentence = format!("not sent: {} for {} s", Reason::NoRoom.sentence(), wait.as_secs().max(1));
        let failed = Self::not_sent(endpoint, ErrorClass::Retry { after: wait }, Reason::NoRoom, sentence);
        Self { error: failed.error.for_the_rate(), ..failed }
    }

    /// Its moment has passed.
    pub(super) fn too_late(endpoint: &Endpoint) -> Self {
        let sentence = format!("not sent: {}", Reason::TooLate.sentence());
        Self::not_sent(endpoint, ErrorClass::Retry { after: Duration::ZERO }, Reason::TooLate, sentence)
    }

    /// No answer came.
    pub(super) fn unanswered(endpoint: &Endpoint, error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::impossible(endpoint, "the request could not be built");
        }
        if error.is_connect() {
            let reason = if error.is_dns() { Reason::NameNotResolved } else { Reason::NoConnection };
            let sentence = format!("{}; nothing was sent; {}", reason.sentence(), reason.remedy());
            return Self::not_sent(endpoint, ErrorClass::Retry { after: SOON }, reason, sentence);
        }
        let reason = if error.is_timeout() { Reason::NoAnswer } else { Reason::Cut };
        let what = reason.sentence();
        match endpoint.effect {
            Effect::Read => Self::new(endpoint, ErrorClass::Retry { after: SOON }, None, reason, what.into()),
            Effect::Write { .. } => {
                Self::new(endpoint, ErrorClass::Ambiguous, None, reason, format!("{what}; it may have taken effect"))
            }
        }
    }

    /// An answer came whose body could not be read or understood.
    pub(in crate::atlassian) fn unreadable(endpoint: &Endpoint, status: u16, why: &str) -> Self {
        let new = |class, sentence| Self::new(endpoint, class, Some(status), Reason::UnreadableAnswer, sentence);
        match endpoint.effect {
            Effect::Read => new(ErrorClass::Retry { after: SOON }, why.to_owned()),
            Effect::Write { refusals } if status == 429 && refusals.contains(&status) => {
                let failed = new(ErrorClass::Retry { after: SOON }, why.to_owned());
                Self { error: failed.error.not_taken(), ..failed }
            }
            Effect::Write { .. } => new(ErrorClass::Ambiguous, format!("{why}; it may have taken effect")),
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
        let reason = reason(endpoint, status, &fault);
        let error = ProviderError::new(endpoint.name, class, Some(status), sentence(reason, status, &fault)).because(reason);
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
        403 if is_about_the_account(&fault.code) => ErrorClass::PermanentForAccount,
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

/// Whether a 403 is about the account that was named, not about the key.
fn is_about_the_account(code: &str) -> bool {
    code.starts_with("forbidden.action")
        || matches!(code, "forbidden" | "forbidden.targetUnverified" | "forbidden.unclaimedDomain")
}

/// Why, by the status and what the provider said.
fn reason(endpoint: &Endpoint, status: u16, fault: &Fault) -> Reason {
    match status {
        500..600 => Reason::ProviderFailed,
        429 => Reason::RateLimited,
        300..400 => Reason::Redirected,
        _ if !fault.genuine => Reason::NotTheProvider,
        401 => Reason::KeyRefused,
        403 if fault.code == "forbidden.insufficientScope" => Reason::ScopedKeyRefused,
        403 if is_about_the_account(&fault.code) => Reason::AccountForbidden,
        403 => Reason::KeyMayNot,
        404 => match endpoint.missing {
            Missing::Organisation => Reason::OrganisationNotFound,
            Missing::Policy => Reason::PolicyNotFound,
            Missing::Account => Reason::NotFound,
        },
        400 | 413 | 422 => Reason::RequestRefused,
        409 => Reason::StateConflict,
        _ => Reason::UndocumentedAnswer,
    }
}

/// What happened and what helps, with the provider's own words.
fn sentence(reason: Reason, status: u16, fault: &Fault) -> String {
    let remedy = if reason.remedy().is_empty() { String::new() } else { format!("; {}", reason.remedy()) };
    let words = [fault.code.as_str(), fault.words.as_str()].into_iter().filter(|words| !words.is_empty());
    let words = words.collect::<Vec<_>>().join(": ");
    let said = match (fault.genuine, words.is_empty()) {
        (false, _) if reason == Reason::NotTheProvider => String::new(),
        (false, _) => " (the body is not the provider's; something between may have answered)".to_owned(),
        (true, true) => String::new(),
        (true, false) => format!(" ({words})"),
    };
    format!("{status}: {}{remedy}{said}", reason.sentence())
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
