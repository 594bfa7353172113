//! Notices to people as messages to notification.

use std::collections::HashMap;

use homeward_messaging::Batch;
use homeward_proto::notification::v1::{NoticeKind, SendNotice};
use homeward_saga::{Arrival, Event};
use homeward_types::{Email, RecoveryId};

use super::super::{Change, RecoveryDomain, delivery_key};
use crate::case::Case;
use crate::incident::Incident;
use crate::saga::RecoverySaga;
use crate::saga::command::Notice;
use crate::saga::data::{Data, Delivery, Recipient};
use crate::saga::input::{Input, ResetAnswer};
use crate::saga::outcome::{Outcome, Reader};
use crate::saga::words::moment;
use crate::timeline::proof_name;

const SEND: &str = "notification.command.send-notice.v1";

/// What notices are put into.
pub(super) struct Mail<'a> {
    pub(super) domain: &'a RecoveryDomain,
    pub(super) messages: &'a mut Batch,
    pub(super) incidents: &'a mut Vec<Incident>,
    pub(super) follows: Vec<Arrival<RecoverySaga>>,
}

impl Mail<'_> {
    /// One notice to each approver who is asked.
    pub(super) fn ask_approvers(&mut self, change: &Change, case: Option<&Case>) {
        let data = &change.progress.data;
        let email = case.and_then(|case| case.email.as_ref());
        let people = &self.domain.people;
        let asked: Vec<_> = people
            .approvers_for(&data.requester, &data.account, email)
            .map(|person| Recipient::Person(person.id.clone()))
            .collect();
        for to in asked {
            self.tell(change, case, Notice::ApprovalNeeded, &to);
        }
    }

    /// One notice to one recipient. Where there is no address, that is the answer at once.
    pub(super) fn tell(&mut self, change: &Change, case: Option<&Case>, notice: Notice, to: &Recipient) {
        let id = RecoveryId::from_uuid(change.id);
        let Some((name, email)) = case.and_then(|case| self.address(case, to)) else {
            return self.nobody(change, notice, to);
        };
        let payload = SendNotice {
            delivery_key: delivery_key(id, notice, to),
            recovery: id.to_string(),
            organisation: change.progress.data.organisation.to_string(),
            kind: kind(notice).into(),
            recipient_name: name,
            recipient_email: email.into(),
            fields: case.map(|case| self.fields(change, case, notice, to)).unwrap_or_default(),
        };
        let about = &payload.delivery_key[payload.recovery.len() + 1..];
        self.messages.push(super::of(change, SEND, about, &payload));
    }

    /// A person without an address is so by configuration; an owner without one is for a person's eye.
    fn nobody(&mut self, change: &Change, notice: Notice, to: &Recipient) {
        if *to == Recipient::Owner {
            let problem = "no address is known";
            let (id, data) = (RecoveryId::from_uuid(change.id), &change.progress.data);
            self.incidents.push(Incident::notice_failed(self.domain.incident_id(), id, data, notice, to, problem));
        }
        let failed = Input::Noticed { notice, to: to.clone(), delivery: Delivery::Failed };
        self.follows.push(Arrival::input(change.id, failed));
    }

    fn address(&self, case: &Case, to: &Recipient) -> Option<(String, Email)> {
        match to {
            Recipient::Owner => Some((case.name.clone(), case.email.clone()?)),
            Recipient::Person(person) => {
                let person = self.domain.people.get(person)?;
                Some((person.name.clone(), person.email.clone()?))
            }
        }
    }

    fn fields(&self, change: &Change, case: &Case, notice: Notice, to: &Recipient) -> HashMap<String, String> {
        let (data, links) = (&change.progress.data, &self.domain.links);
        let mut fields = HashMap::with_capacity(12);
        let mut put = |name: &str, value: String| drop(fields.insert(name.to_owned(), value));
        put("account_email", case.email.as_ref().map_or_else(|| case.account.to_string(), ToString::to_string));
        put("account_name", case.name.clone());
        put("requester", self.name_of(data));
        put("trace_id", change.trace.trace_id().unwrap_or_default().to_owned());
        if *to == Recipient::Owner {
            put("not_me_url", format!("{}/not-me/{}", links.public_url, self.domain.key.not_me_token(case.id)));
        }
        match notice {
            Notice::Requested => {}
            Notice::ApprovalNeeded => {
                put("reason", case.reason.clone());
                put("approve_hint", format!("homeward approve {}", case.id));
                put("sentence", what_to_judge(data));
            }
            Notice::ResetNeeded => {
                let page = data.reset_page.clone().filter(|page| !page.is_empty());
                put("reset_page", page.unwrap_or_else(|| "the account's page in the provider's administration".to_owned()));
                if let Event::Input(Input::FactorReset(ResetAnswer::PersonNeeded { how, .. })) = &change.event {
                    put("how", how.clone());
                }
                put("confirm_hint", format!("homeward confirm-reset {}", case.id));
            }
            Notice::Invitation | Notice::Reminder => {
                put("sign_in_url", links.sign_in(&data.organisation));
                put("due_at", data.due_at().map(moment).unwrap_or_default());
            }
            Notice::Closed => {
                let outcome = Outcome::of(data);
                let reader = if *to == Recipient::Owner { Reader::Owner } else { Reader::Staff };
                put("outcome", outcome.code().to_owned());
                put("outcome_sentence", outcome.sentence(reader));
            }
        }
        fields
    }

    fn name_of(&self, data: &Data) -> String {
        self.domain.people.get(&data.requester).map_or_else(|| data.requester.to_string(), |person| person.name.clone())
    }
}

/// What an approver must know before deciding.
fn what_to_judge(data: &Data) -> String {
    let proofs: Vec<&str> = data.proofs.keys().map(|kind| proof_name(*kind)).collect();
    let care = match data.terms.tier {
        homeward_types::Tier::Normal => "",
        homeward_types::Tier::High => " This account needs more care than most.",
    };
    format!("Proof that was attached: {}.{care}", proofs.join("; "))
}

fn kind(notice: Notice) -> NoticeKind {
    match notice {
        Notice::Requested => NoticeKind::Requested,
        Notice::ApprovalNeeded => NoticeKind::ApprovalNeeded,
        Notice::ResetNeeded => NoticeKind::ResetNeeded,
        Notice::Invitation => NoticeKind::Invitation,
        Notice::Reminder => NoticeKind::Reminder,
        Notice::Closed => NoticeKind::Closed,
    }
}
