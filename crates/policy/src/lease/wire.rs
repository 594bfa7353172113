//! Leases as the other services see them.

use homeward_messaging::NewMessage;
use homeward_proto::policy::v1;
use homeward_proto::wire::timestamp;
use homeward_proto::words::v1 as words;
use homeward_types::{LeaseEnd, Refusal};

use super::store::{AttemptView, Kept};
use super::{Lease, News, State};

/// The message that tells the news of a lease, in the lease's own trace.
pub fn message(news: News, kept: &Kept) -> NewMessage {
    let lease = &kept.lease;
    let kind = format!("policy.event.lease-{}.v1", news.name());
    let payload = v1::LeaseChanged { news: v1::LeaseNews::from(news).into(), lease: Some(kept.into()) };
    let key = format!("{}:{}:{}", lease.id, lease.version, news.name());
    let message = NewMessage::new(kind, lease.organisation.clone(), lease.id.uuid(), key, &payload)
        .of_version(lease.version)
        .in_state(news.step());
    if kept.trace.is_none() { message } else { message.within(kept.trace.clone()) }
}

impl News {
    /// The recovery's step that the news is about, as crash tests name it.
    fn step(self) -> &'static str {
        match self {
            Self::Opened | Self::Lent | Self::Refused => "lend",
            Self::Returning | Self::Settling | Self::Closed | Self::Adopted => "return",
        }
    }
}

impl From<News> for v1::LeaseNews {
    fn from(news: News) -> Self {
        match news {
            News::Opened => Self::Opened,
            News::Lent => Self::Lent,
            News::Returning => Self::Returning,
            News::Settling => Self::Settling,
            News::Closed => Self::Closed,
            News::Adopted => Self::Adopted,
            News::Refused => Self::Refused,
        }
    }
}

impl From<&State> for v1::LeaseState {
    fn from(state: &State) -> Self {
        match state {
            State::Opening => Self::Opening,
            State::Active => Self::Active,
            State::Closing => Self::Closing,
            State::Settling => Self::Settling,
            State::Closed(_) => Self::Closed,
        }
    }
}

fn refusal(refusal: Refusal) -> v1::Refusal {
    match refusal {
        Refusal::Changed => v1::Refusal::Changed,
        Refusal::Busy => v1::Refusal::Busy,
        Refusal::Expired => v1::Refusal::Expired,
        Refusal::Cap => v1::Refusal::Cap,
        Refusal::Grant => v1::Refusal::Grant,
        Refusal::Draining => v1::Refusal::Draining,
    }
}

impl From<&Kept> for v1::Lease {
    fn from(kept: &Kept) -> Self {
        let lease = &kept.lease;
        let (sight, out) = (&lease.sight, lease.sight.out.as_ref());
        let ending = match &lease.state {
            State::Closed(ending) => Some(ending),
            State::Opening | State::Active | State::Closing | State::Settling => None,
        };
        let lent = ending.is_none_or(|ending| ending.end != LeaseEnd::NeverLent);
        Self {
            lease: lease.id.to_string(),
            organisation: lease.organisation.to_string(),
            account: lease.account.to_string(),
            version: lease.version,
            state: v1::LeaseState::from(&lease.state).into(),
            end: ending.map_or(words::LeaseEnd::Unspecified, |ending| (&ending.end).into()).into(),
            end_policy: ending.and_then(|ending| end_policy(&ending.end)).unwrap_or_default(),
            refusal: ending.and_then(|ending| ending.refusal).map_or(v1::Refusal::Unspecified, refusal).into(),
            home: if lent { lease.home.to_string() } else { String::new() },
            home_version: lease.home_version.map(|version| version.0),
            recovery_policy: lease.recovery_policy.to_string(),
            opened_at: Some(timestamp(lease.opened_at)),
            due_at: Some(timestamp(lease.due_at)),
            seen_out_at: out.map(|out| timestamp(out.first_at)),
            out_version: out.and_then(|out| out.version).map(|version| version.0),
            seen_back_at: sight.back_at.map(timestamp),
            back_version: sight.back_version.map(|version| version.0),
            closed_at: ending.map(|ending| timestamp(ending.at)),
            overdue: lease.overdue,
            contained: lease.contained,
            origin: lease.origin.name().into(),
            factor_at_lend: words::Factor::from(lease.factor_at_lend).into(),
            return_reason: lease.return_reason.clone().unwrap_or_default(),
            failed_returns: i32::try_from(lease.failed_returns).unwrap_or(i32::MAX),
            evidence: evidence(lease),
        }
    }
}

fn end_policy(end: &LeaseEnd) -> Option<String> {
    match end {
        LeaseEnd::ProtectedElsewhere(policy) => Some(policy.to_string()),
        LeaseEnd::Home | LeaseEnd::Gone | LeaseEnd::Released | LeaseEnd::NeverLent => None,
    }
}

impl From<AttemptView> for v1::Attempt {
    fn from(view: AttemptView) -> Self {
        Self {
            attempt: view.number.to_string(),
            kind: view.kind,
            state: view.state,
            sent_at: view.sent_at.map(timestamp),
            task: view.task.unwrap_or_default(),
            detail: view.detail.unwrap_or_default(),
        }
    }
}

/// What proves where the lease stands, in words.
pub fn evidence(lease: &Lease) -> String {
    let (sight, out) = (&lease.sight, lease.sight.out.as_ref());
    let version =
        |version: Option<homeward_types::PlacementVersion>| version.map(|v| format!(", version {}", v.0)).unwrap_or_default();
    let seen_out = || {
        out.map_or_else(
            || "not seen out".to_owned(),
            |out| format!("seen in {} by a read begun {}{}", out.policy, out.first_at.to_rfc3339(), version(out.version)),
        )
    };
    let seen_back = || {
        sight.back_at.map_or_else(String::new, |at| {
            format!("; seen back by a read begun {}{}", at.to_rfc3339(), version(sight.back_version))
        })
    };
    match &lease.state {
        State::Opening => "opened; the account was not seen out yet".to_owned(),
        State::Active => seen_out(),
        State::Closing => format!("{}; being returned, not seen back yet", seen_out()),
        State::Settling => format!("{}{}; a lend of unknown outcome is waited out", seen_out(), seen_back()),
        State::Closed(ending) => match &ending.end {
            LeaseEnd::Home | LeaseEnd::ProtectedElsewhere(_) => format!("{}{}", seen_out(), seen_back()),
            LeaseEnd::Gone => "two different calls did not find the account".to_owned(),
            LeaseEnd::Released => "two persons released it".to_owned(),
            LeaseEnd::NeverLent => "nothing was ever lent under this id".to_owned(),
        },
    }
}
