//! Whatever needs a person's eye: one object with the next automatic action, and what a person can safely do.

pub mod store;

use homeward_types::{AccountId, IncidentId, OrganisationId, RecoveryId, Timestamp};

use crate::saga::command::Notice;
use crate::saga::data::{Data, Recipient};

/// An incident to open. A repeat of its key opens no second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// What it is about, so that a repeat is recognised.
    pub key: String,
    /// Where.
    pub organisation: OrganisationId,
    /// The case, if it is about one.
    pub recovery: Option<RecoveryId>,
    /// The account, if it is about one.
    pub account: Option<AccountId>,
    /// Stable, for programs.
    pub kind: String,
    /// For people.
    pub sentence: String,
    /// What Homeward does next by itself; empty when nothing.
    pub next_action: String,
    /// When.
    pub next_at: Option<Timestamp>,
    /// What a person can safely do.
    pub safe_action: String,
}

impl Incident {
    /// The owner of an account said "this was not me".
    pub fn repudiated(id: IncidentId, recovery: RecoveryId, data: &Data, contains: bool) -> Self {
        let sentence = match (data.was_opened(), data.enrolled_at) {
            (false, _) => {
                "The account's owner says that they did not ask for this recovery. It was cancelled before the account was lent."
                    .to_owned()
            }
            (true, None) => "The account's owner says that they did not ask for this recovery, and the account was out. \
                 What was opened while it was out is not to be trusted."
                .to_owned(),
            (true, Some(at)) => format!(
                "The account's owner says that they did not ask for this recovery. The factor that was set up while the account was out \
                 (seen {}) is not to be trusted.",
                crate::saga::words::moment(at)
            ),
        };
        let next_action = match (data.was_opened(), contains) {
            (false, _) => "",
            (true, true) => {
                "The account is brought home if it is out, disabled, and what was opened while it was out is revoked."
            }
            (true, false) => "The account is brought home if it is out, and what was opened while it was out is revoked.",
        };
        let safe_action = if data.was_opened() {
            "Speak with the owner, reset the account's factor, then have two persons end the containment."
        } else {
            "Speak with the owner and with the requester."
        };
        Self {
            id,
            key: format!("repudiated.{recovery}"),
            organisation: data.organisation.clone(),
            recovery: Some(recovery),
            account: Some(data.account.clone()),
            kind: "repudiated".into(),
            sentence,
            next_action: next_action.into(),
            next_at: None,
            safe_action: safe_action.into(),
        }
    }

    /// A notice was given up, or there is no address for it.
    pub fn notice_failed(
        id: IncidentId,
        recovery: RecoveryId,
        data: &Data,
        notice: Notice,
        to: &Recipient,
        problem: &str,
    ) -> Self {
        let whom = match to {
            Recipient::Owner => "The account's owner".to_owned(),
            Recipient::Person(person) => person.to_string(),
        };
        Self {
            id,
            key: format!("notice_failed.{}", crate::domain::delivery_key(recovery, notice, to)),
            organisation: data.organisation.clone(),
            recovery: Some(recovery),
            account: Some(data.account.clone()),
            kind: "notice_failed".into(),
            sentence: format!("{whom} could not be told ({}): {problem}.", notice.name().replace('_', " ")),
            next_action: "The recovery goes on.".into(),
            next_at: None,
            safe_action: "Tell them by another way.".into(),
        }
    }

    /// An account that was repudiated could not be disabled.
    pub fn not_contained(
        id: IncidentId,
        recovery: RecoveryId,
        organisation: OrganisationId,
        account: AccountId,
        problem: &str,
    ) -> Self {
        Self {
            id,
            key: format!("not_contained.{recovery}"),
            organisation,
            recovery: Some(recovery),
            account: Some(account),
            kind: "not_contained".into(),
            sentence: format!(
                "The account's owner said that this was not them, and the account could not be disabled: {problem}."
            ),
            next_action: "Policy is asked again.".into(),
            next_at: None,
            safe_action: "Disable the account on the provider's page.".into(),
        }
    }
}
