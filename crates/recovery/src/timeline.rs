//! What happened in a case, told for people. Pure: entries of one change of the saga.

pub mod store;
#[cfg(test)]
mod tests;

use homeward_saga::{Applied, Event};
use homeward_types::{LeaseEnd, PersonId, ProofKind};

use crate::saga::RecoverySaga;
use crate::saga::command::Notice;
use crate::saga::data::{Data, Delivery, LeaseFact, LeaseState, Recipient};
use crate::saga::input::{Input, ResetAnswer};
use crate::saga::outcome::{Outcome, Reader, Reason};
use crate::saga::words::moment;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Stable, for programs.
    pub kind: &'static str,
    /// For people.
    pub sentence: String,
    /// The person who acted; `None` when Homeward did.
    pub actor: Option<PersonId>,
}

impl Entry {
    /// Something that Homeward did or saw.
    pub fn seen(kind: &'static str, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), actor: None }
    }

    fn done(kind: &'static str, by: &PersonId, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), actor: Some(by.clone()) }
    }
}

/// What is to be told of one change.
pub fn entries(change: &Applied<RecoverySaga>) -> Vec<Entry> {
    let data = &change.progress.data;
    let mut entries: Vec<Entry> = match &change.event {
        Event::Start => Some(started(data)),
        Event::Input(Input::Lease(lease)) => of_lease(lease, change.from.as_deref() == Some("return")),
        Event::Input(input) => of_input(input),
        Event::Tick => late(change),
    }
    .into_iter()
    .collect();
    if change.entered.contains(&"lend")
        && let Some(until) = data.not_after()
    {
        entries.push(Entry::seen("granted", format!("Recovery permits policy to lend the account until {}.", moment(until))));
    }
    if change.entered.contains(&"return") && !data.is_lease_ending() {
        entries.push(Entry::seen("returning", "The account is on its way home."));
    }
    if change.from.is_some() && change.progress.is_closed() {
        entries.push(Entry::seen("closed", Outcome::of(data).sentence(Reader::Staff)));
    }
    entries
}

fn started(data: &Data) -> Entry {
    if data.leave.is_some() {
        return Entry::seen("adopted", "Policy holds a lease of a case that was lost here; the account is brought home.");
    }
    let carried = if data.proofs.is_empty() { "" } else { "; proof was carried over" };
    let needs = format!(
        "{} asked for a recovery; it takes {} and {}{carried}.",
        data.requester,
        counted(data.terms.proofs, "proof"),
        counted(data.terms.approvers, "approval")
    );
    Entry::done("requested", &data.requester, needs)
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn of_input(input: &Input) -> Option<Entry> {
    Some(match input {
        Input::ProofAttached { by, kind, .. } => {
            Entry::done("proof-attached", by, format!("Proof was attached: {}.", proof_name(*kind)))
        }
        Input::Voted { by, approve: true, .. } => Entry::done("approved", by, format!("{by} approved.")),
        Input::Voted { by, approve: false, .. } => Entry::done("denied", by, format!("{by} denied.")),
        Input::Cancelled { by, .. } => Entry::done("cancelled", by, format!("{by} cancelled.")),
        Input::ReturnNow { by, .. } => Entry::done("return-asked", by, format!("{by} asked for the return now.")),
        Input::ResetConfirmed { by } => {
            Entry::done("reset-confirmed", by, format!("{by} says that the old factor was removed; it is read again."))
        }
        Input::Repudiated => Entry::seen("repudiated", "The account's owner said that this was not them."),
        Input::SlotTaken => Entry::seen("slot-taken", "There is a place under the exposure cap."),
        Input::Lease(lease) => return of_lease(lease, false),
        Input::FactorReset(answer) => return of_reset(answer),
        Input::FactorAbsent { .. } => {
            Entry::seen("factor-absent", "The factor was read as absent after the account was seen out.")
        }
        Input::Enrolled { evidence, .. } => Entry::seen("enrolled", with_evidence("The owner set up a new factor", evidence)),
        Input::WindowCleaned { revoked, cannot } => Entry::seen("cleaned", cleaned(revoked, cannot)),
        Input::Noticed { notice, to, delivery } => return of_notice(*notice, to, *delivery),
    })
}

fn of_lease(lease: &LeaseFact, asked: bool) -> Option<Entry> {
    Some(match &lease.state {
        // That it is on its way home was said when the return was asked for.
        LeaseState::Closing if asked => return None,
        LeaseState::Opening => Entry::seen("lease-opened", "The lease is open; the account is about to be moved."),
        LeaseState::Active => {
            let due = lease.due_at.map(|at| format!("; it comes home by {} at the latest", moment(at))).unwrap_or_default();
            Entry::seen("lent", format!("The account was seen in the recovery policy{due}."))
        }
        LeaseState::Closing => Entry::seen("returning", "Policy is bringing the account home."),
        LeaseState::Settling => {
            Entry::seen("settling", "The account was seen home; the lease stays open until no late effect can come.")
        }
        LeaseState::Closed(LeaseEnd::NeverLent) => Entry::seen("not-lent", "No lease was opened."),
        LeaseState::Closed(end) => {
            let sentence = match end {
                LeaseEnd::Home => "The account was seen home",
                LeaseEnd::ProtectedElsewhere(_) => "The account was seen in another protecting policy and left there",
                LeaseEnd::Gone => "The account does not exist or is not managed any more",
                LeaseEnd::Released | LeaseEnd::NeverLent => "Two persons released the account",
            };
            Entry::seen("returned", with_evidence(sentence, &lease.evidence))
        }
    })
}

fn of_reset(answer: &ResetAnswer) -> Option<Entry> {
    match answer {
        ResetAnswer::Gone => Some(Entry::seen("factor-removed", "The old factor was removed.")),
        ResetAnswer::PersonNeeded { page, how } => Some(Entry::seen(
            "reset-needed",
            format!("A person must remove the old factor at {page}. {how}").trim_end().to_owned(),
        )),
        ResetAnswer::NotOut => None,
    }
}

fn of_notice(notice: Notice, to: &Recipient, delivery: Delivery) -> Option<Entry> {
    let whom = match to {
        Recipient::Owner => "The account's owner".to_owned(),
        Recipient::Person(person) => person.to_string(),
    };
    let about = match notice {
        Notice::Invitation => "invited to sign in",
        Notice::ResetNeeded => "asked to remove the old factor",
        Notice::Closed => "told how it ended",
        Notice::Requested | Notice::ApprovalNeeded | Notice::Reminder => return None,
    };
    let kind = if notice == Notice::Invitation { "invited" } else { "notified" };
    Some(match delivery {
        Delivery::Accepted => Entry::seen(kind, format!("{whom} was {about}.")),
        Delivery::Failed => Entry::seen("notice-failed", format!("{whom} could not be {about}; an incident is open.")),
    })
}

/// A deadline passed.
fn late(change: &Applied<RecoverySaga>) -> Option<Entry> {
    let failed =
        change.entered.contains(&"return") || (change.entered.contains(&"close") && change.from.as_deref() != Some("clean"));
    let sentence = match change.progress.data.failure.filter(|_| failed)? {
        Reason::NoProof => "Not enough proof came in time.",
        Reason::NoApproval => "Not enough approvals came in time.",
        Reason::NoSlot => "No place under the exposure cap came free in time.",
        Reason::NoAnswer => "Policy did not answer while the account could still be lent.",
        Reason::Due => "The time out is over.",
        Reason::ProofLapsed
        | Reason::Denied
        | Reason::Cancelled
        | Reason::Asked
        | Reason::Repudiated
        | Reason::Refused(_)
        | Reason::EndedByPolicy
        | Reason::CaseLost => return None,
    };
    Some(Entry::seen("expired", sentence))
}

fn with_evidence(sentence: &str, evidence: &str) -> String {
    if evidence.is_empty() { format!("{sentence}.") } else { format!("{sentence}: {evidence}") }
}

fn cleaned(revoked: &[String], cannot: &[String]) -> String {
    let mut sentence = if revoked.is_empty() {
        "Nothing was found that was opened while the account was out.".to_owned()
    } else {
        format!("Revoked: {}.", revoked.join("; "))
    };
    if !cannot.is_empty() {
        sentence.push_str(" Cannot be ended here: ");
        sentence.push_str(&cannot.join("; "));
        sentence.push('.');
    }
    sentence
}

/// The kind of proof in people's words.
pub fn proof_name(kind: ProofKind) -> &'static str {
    match kind {
        ProofKind::CallBack => "a call back to the number on file",
        ProofKind::ManagerVouch => "the manager's word",
        ProofKind::SecondAddress => "a code read back from a second address",
        ProofKind::Vendor => "a vendor's signed result",
    }
}
