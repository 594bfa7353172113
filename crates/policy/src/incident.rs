//! What needs a person's eye: one object with a sentence, what happens next by itself, and a safe action.

pub mod store;

use homeward_messaging::NewMessage;
use homeward_types::{AccountId, Email, IncidentId, LeaseId, OrganisationId, PolicyId, Timestamp};

use crate::lease::{Alarm, Lease, Subject};

mod provider;
pub mod wire;

/// A matter for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// Where.
    pub organisation: OrganisationId,
    /// About whom, if about one account.
    pub account: Option<AccountId>,
    /// About which lease, if about one.
    pub lease: Option<LeaseId>,
    /// Stable kind.
    pub kind: &'static str,
    /// Names the matter: a second incident about it is not opened.
    pub matter: String,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// What Homeward does next by itself.
    pub next_action: String,
    /// When.
    pub next_at: Option<Timestamp>,
    /// What a person can safely do.
    pub safe_action: String,
}

impl Incident {
    fn about(lease: &Lease, id: IncidentId, kind: &'static str) -> Self {
        Self {
            id,
            organisation: lease.organisation.clone(),
            account: Some(lease.account.clone()),
            lease: Some(lease.id),
            kind,
            matter: format!("{kind}:{}", lease.id),
            sentence: String::new(),
            next_action: "returns are tried until the account is seen at home".into(),
            next_at: lease.return_at.or(lease.next_read_at),
            safe_action: format!("move the account into {} at the provider; Homeward sees it and closes the lease", lease.home),
        }
    }

    /// The incident that an alarm of a lease makes. That an account is out again is told by the lease that is opened for it.
    pub fn of(alarm: &Alarm, lease: &Lease, id: IncidentId) -> Option<Self> {
        Some(match alarm {
            Alarm::OutAgain => return None,
            Alarm::Overdue => Self {
                sentence: format!("account {} should have been back at {} and is not", lease.account, lease.due_at.to_rfc3339()),
                ..Self::about(lease, id, "overdue")
            },
            Alarm::FailedReturns => Self {
                sentence: format!("{} returns of account {} have failed", lease.failed_returns, lease.account),
                ..Self::about(lease, id, "failed_returns")
            },
            Alarm::HomeLost { from } => Self {
                matter: format!("home_lost:{}:{from}", lease.id),
                sentence: format!("the home policy {from} of account {} is gone or no longer mandatory", lease.account),
                next_action: format!("the account is returned to the default home {}", lease.home),
                ..Self::about(lease, id, "home_lost")
            },
            Alarm::ProtectedElsewhere(policy) => Self {
                sentence: format!(
                    "account {} was lent from {} and was moved into {policy} by someone else",
                    lease.account, lease.home
                ),
                next_action: "none: the account is protected and stays where it is".into(),
                safe_action: format!("check that {policy} is right for the account"),
                ..Self::about(lease, id, "protected_elsewhere")
            },
            Alarm::Gone => Self {
                sentence: format!("account {} was lent and is not found, or no longer managed", lease.account),
                next_action: "none while it stays away; seen out again, it is returned".into(),
                safe_action: "find out who deleted the account or released its domain".into(),
                ..Self::about(lease, id, "gone")
            },
            Alarm::FoundOut => Self {
                sentence: format!(
                    "account {} was found out without an open lease: {}",
                    lease.account,
                    lease.return_reason.as_deref().unwrap_or_default()
                ),
                ..Self::about(lease, id, "found_out")
            },
        })
    }

    /// Somebody else held the address that a move named.
    pub fn unexpected_holder(
        lease: &Lease,
        id: IncidentId,
        address: &Email,
        holder: Option<(&AccountId, Option<&PolicyId>)>,
    ) -> Self {
        let (whom, next) = match holder {
            Some((holder, Some(policy))) if *policy == lease.recovery_policy => (
                format!("account {holder} holds it and is in the recovery policy"),
                "it is leased as adopted and returned".to_owned(),
            ),
            Some((holder, Some(policy))) => {
                (format!("account {holder} holds it and is in {policy}"), "none: that account is not out".to_owned())
            }
            Some((holder, None)) => (format!("account {holder} holds it"), "none: its policy could not be read".to_owned()),
            None => ("nobody holds it now".to_owned(), "none".to_owned()),
        };
        let masked = mask(address);
        Self {
            // Told once more if the holder is found out only later.
            matter: format!("unexpected_holder:{}:{address}:{}", lease.id, place(holder)),
            account: holder.map(|(holder, _)| holder.clone()).or_else(|| Some(lease.account.clone())),
            sentence: format!("a move for account {} named the address {masked}, which it holds no more: {whom}", lease.account),
            next_action: next,
            safe_action: "compare both accounts' policies at the provider; no lend is sent to this address meanwhile".into(),
            ..Self::about(lease, id, "unexpected_holder")
        }
    }

    /// A person said that the factor is gone, and a read that is not behind shows it.
    pub fn reset_contradicted(
        id: IncidentId,
        subject: &Subject,
        confirmed_at: Timestamp,
        read_at: Timestamp,
        page: &str,
    ) -> Self {
        let (account, lease) = (&subject.account, subject.lease);
        Self {
            id,
            organisation: subject.organisation.clone(),
            account: Some(account.clone()),
            lease: Some(lease),
            kind: "reset_contradicted",
            matter: format!("reset_contradicted:{lease}:{}", confirmed_at.timestamp_micros()),
            sentence: format!(
                "at {} somebody said that the old factor of account {account} was removed, and a read begun at {} still shows it",
                confirmed_at.to_rfc3339(),
                read_at.to_rfc3339()
            ),
            next_action: "it is read again and again; without a removal the account comes home when its time is over".into(),
            next_at: None,
            safe_action: format!("open {page} again: is it the right account, and is its two-step verification off?"),
        }
    }

    /// What an operator did to many at once.
    pub fn announcement(id: IncidentId, organisation: &OrganisationId, kind: &'static str, sentence: String) -> Self {
        Self {
            id,
            organisation: organisation.clone(),
            account: None,
            lease: None,
            kind,
            matter: format!("{kind}:{id}"),
            sentence,
            next_action: "none".into(),
            next_at: None,
            safe_action: "ask whoever did it".into(),
        }
    }

    /// A lend came with a grant that recovery did not sign.
    pub fn bad_grant(lease: LeaseId, id: IncidentId, organisation: &OrganisationId, account: &AccountId, why: &str) -> Self {
        Self {
            id,
            organisation: organisation.clone(),
            account: Some(account.clone()),
            lease: Some(lease),
            kind: "bad_grant",
            matter: format!("bad_grant:{lease}"),
            sentence: format!("a lend of account {account} was asked for with a grant that does not hold: {why}"),
            next_action: "none: nothing was lent".into(),
            next_at: None,
            safe_action: "find out who can publish to the broker, and whether policy knows recovery's present key".into(),
        }
    }

    /// The message that tells of it.
    pub fn message(&self) -> NewMessage {
        wire::message(self)
    }
}

/// Who holds an address and where, as part of an incident's matter.
fn place(holder: Option<(&AccountId, Option<&PolicyId>)>) -> String {
    let policy = |policy: Option<&PolicyId>| policy.map(ToString::to_string).unwrap_or_default();
    holder.map(|(holder, at)| format!("{holder}:{}", policy(at))).unwrap_or_default()
}

/// An address that a person recognises and a log may hold.
fn mask(address: &Email) -> String {
    let text = address.as_str();
    let (name, domain) = text.split_once('@').unwrap_or((text, ""));
    format!("{}…@{domain}", name.chars().next().unwrap_or('?'))
}
