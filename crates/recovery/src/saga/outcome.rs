//! How a recovery can end, why a step fails, and what each reader is told.

use homeward_types::{Factor, LeaseEnd, Refusal};
use serde::{Deserialize, Serialize};

use super::data::{Data, Leave};

/// Why a step failed. The first failure decides the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not enough proof came in time.
    NoProof,
    /// Not enough approvals came in time, or the proof no longer counted.
    NoApproval,
    /// No place under the exposure cap came free in time, or the proof no longer counted.
    NoSlot,
    /// At the moment of the grant the proof no longer counted.
    ProofLapsed,
    /// An approver said no.
    Denied,
    /// Cancelled.
    Cancelled,
    /// A person asked for the return.
    Asked,
    /// The owner said "this was not me".
    Repudiated,
    /// Policy did not open the lease.
    Refused(Refusal),
    /// Policy did not answer while the lend could still be sent.
    NoAnswer,
    /// Policy ended the lease by itself.
    EndedByPolicy,
    /// The time out was over.
    Due,
    /// Policy holds the lease of a case that this database had lost.
    CaseLost,
}

/// How a recovery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The user set up a new factor.
    Enrolled,
    /// The account is home and the user set up nothing.
    NotEnrolled,
    /// The account is home and nothing could be read.
    Unconfirmed,
    /// No lease was opened.
    NotLent(NotLent),
    /// Cancelled.
    Cancelled,
    /// "This was not me."
    Repudiated,
    /// The account does not exist any more, or is not managed any more.
    Gone,
    /// Seen in another protecting policy.
    ProtectedElsewhere,
    /// Two persons released it.
    Released,
    /// This database had lost the case.
    CaseLost,
    /// An approver said no.
    Denied,
    /// Proof, approvals or a slot did not come in time.
    Expired(Waited),
}

/// Why no lease was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotLent {
    /// Policy refused.
    Refused(Refusal),
    /// Policy did not answer in time.
    NoAnswer,
    /// It was brought back before it went out.
    TooSoon,
}

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waited {
    /// Proof.
    Proof,
    /// Approvals.
    Approval,
    /// A place under the exposure cap.
    Slot,
    /// Everything came, but by then the proof was too old.
    FreshProof,
}

/// Who reads a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// The account's owner.
    Owner,
    /// Requester, approvers, operators.
    Staff,
}

impl Outcome {
    /// The outcome of a recovery that is at its last step.
    pub fn of(data: &Data) -> Self {
        if data.repudiated_at.is_some() {
            return Self::Repudiated;
        }
        match data.lease_end() {
            Some(LeaseEnd::Gone) => Self::Gone,
            Some(LeaseEnd::ProtectedElsewhere(_)) => Self::ProtectedElsewhere,
            Some(LeaseEnd::Released) => Self::Released,
            Some(LeaseEnd::Home) => Self::at_home(data),
            Some(LeaseEnd::NeverLent) | None => Self::never_lent(data),
        }
    }

    fn at_home(data: &Data) -> Self {
        if data.enrolled_at.is_some() {
            return Self::Enrolled;
        }
        match (data.failure, &data.leave) {
            (Some(Reason::Cancelled), _) => Self::Cancelled,
            (Some(Reason::CaseLost), _) | (_, Some(Leave::CaseLost)) => Self::CaseLost,
            _ if data.absent_at.is_none() && data.lease.as_ref().is_some_and(|lease| lease.factor == Some(Factor::Unknown)) => {
                Self::Unconfirmed
            }
            _ => Self::NotEnrolled,
        }
    }

    fn never_lent(data: &Data) -> Self {
        let refusal = data.lease.as_ref().and_then(|lease| lease.refusal);
        match data.failure {
            Some(Reason::NoProof) => Self::Expired(Waited::Proof),
            Some(Reason::NoApproval) => Self::Expired(Waited::Approval),
            Some(Reason::NoSlot) => Self::Expired(Waited::Slot),
            Some(Reason::ProofLapsed) => Self::Expired(Waited::FreshProof),
            Some(Reason::Denied) => Self::Denied,
            Some(Reason::Cancelled) => Self::Cancelled,
            Some(Reason::Repudiated) => Self::Repudiated,
            Some(Reason::Refused(refusal)) => Self::NotLent(NotLent::Refused(refusal)),
            Some(Reason::NoAnswer) => Self::NotLent(NotLent::NoAnswer),
            Some(Reason::Asked | Reason::EndedByPolicy | Reason::Due | Reason::CaseLost) | None => {
                Self::NotLent(refusal.map_or(NotLent::TooSoon, NotLent::Refused))
            }
        }
    }

    /// The stable code, as stored, printed and sent.
    pub fn code(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::NotEnrolled => "not_enrolled",
            Self::Unconfirmed => "unconfirmed",
            Self::NotLent(_) => "not_lent",
            Self::Cancelled => "cancelled",
            Self::Repudiated => "repudiated",
            Self::Gone => "gone",
            Self::ProtectedElsewhere => "protected_elsewhere",
            Self::Released => "released",
            Self::CaseLost => "case_lost",
            Self::Denied => "denied",
            Self::Expired(_) => "expired",
        }
    }

    /// Whether the requester may ask again and carry unexpired proof over.
    pub fn can_be_prefilled_from(self) -> bool {
        matches!(self, Self::NotLent(_))
    }

    /// What happened, in plain words for `reader`.
    pub fn sentence(self, reader: Reader) -> String {
        match reader {
            Reader::Owner => for_the_owner(self).into(),
            Reader::Staff => for_staff(self).into(),
        }
    }
}

fn for_the_owner(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Enrolled => "You set up a new second factor, and your account is protected by it again.",
        Outcome::NotEnrolled => {
            "Your account is back under two-step verification, and no new factor was set up. \
             You will be asked for one at the next sign-in; ask again if you cannot."
        }
        Outcome::Unconfirmed => {
            "Your account is back under two-step verification. We could not see whether you set up a new factor. \
             You will be asked for one at the next sign-in; ask again if you cannot."
        }
        Outcome::NotLent(_) => {
            "The recovery that was asked for your account did not begin, and nothing about your account was changed. \
             Your help desk can ask again."
        }
        Outcome::Cancelled => {
            "The recovery that was asked for your account was cancelled. Two-step verification applies to it as before."
        }
        Outcome::Repudiated => "You said that this was not you. The recovery was ended, and security was told.",
        Outcome::Gone => "Your account is no longer managed by this organisation, so the recovery was ended.",
        Outcome::ProtectedElsewhere => {
            "Your account was moved to another policy that protects it, so the recovery was ended there."
        }
        Outcome::Released => {
            "Two administrators decided that your account stays without mandatory two-step verification. Please set up a factor."
        }
        Outcome::CaseLost => {
            "A recovery of your account was ended early because its record was lost. Your account is back under two-step verification; \
             ask again if you cannot sign in."
        }
        Outcome::Denied => "The recovery that was asked for your account was denied. Nothing about your account was changed.",
        Outcome::Expired(_) => {
            "The recovery that was asked for your account was not approved in time. Nothing about your account was changed; ask again if you need it."
        }
    }
}

fn for_staff(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Enrolled => "The user set up a new factor; the account is home.",
        Outcome::NotEnrolled => "The account is home; the user did not set up a factor and will be asked at the next sign-in.",
        Outcome::Unconfirmed => "The account is home; whether the user set up a factor could not be read.",
        Outcome::NotLent(why) => not_lent(why),
        Outcome::Cancelled => "The recovery was cancelled; the account is in its own policy.",
        Outcome::Repudiated => "The owner said that this was not them; the recovery was ended and an incident is open.",
        Outcome::Gone => "The account does not exist or is not managed any more.",
        Outcome::ProtectedElsewhere => "The account was seen in another protecting policy and left there.",
        Outcome::Released => "Two persons released the account into the recovery policy.",
        Outcome::CaseLost => "The record of the case was lost; its lease was brought home.",
        Outcome::Denied => "An approver denied the recovery.",
        Outcome::Expired(Waited::Proof) => "Not enough proof was attached in time; ask again with the proof at hand.",
        Outcome::Expired(Waited::Approval) => {
            "Not enough approvals came while the proof counted; ask again and tell an approver."
        }
        Outcome::Expired(Waited::Slot) => {
            "No place under the exposure cap came free in time; ask again when fewer accounts are out."
        }
        Outcome::Expired(Waited::FreshProof) => {
            "A place came free when the proof was too old to count; ask again with fresh proof."
        }
    }
}

fn not_lent(why: NotLent) -> &'static str {
    match why {
        NotLent::Refused(Refusal::Changed) => {
            "The account was not lent: it is no longer what was approved. Diagnose it again, then ask again from this recovery."
        }
        NotLent::Refused(Refusal::Busy) => {
            "The account was not lent: another lease of it is open. Ask again from this recovery when that one is closed."
        }
        NotLent::Refused(Refusal::Expired) => {
            "The account was not lent: the permission had expired when policy got to it. Ask again from this recovery."
        }
        NotLent::Refused(Refusal::Cap) => {
            "The account was not lent: policy's own cap on accounts out is reached. Ask again from this recovery later."
        }
        NotLent::Refused(Refusal::Grant) => {
            "The account was not lent: policy did not accept recovery's grant. An operator must compare the key in policy's \
             configuration with recovery's; then ask again from this recovery."
        }
        NotLent::Refused(Refusal::Draining) => {
            "The account was not lent: policy is draining and takes no new lends. Ask again from this recovery when that is over."
        }
        NotLent::NoAnswer => "The account was not lent: policy did not answer in time. Ask again from this recovery.",
        NotLent::TooSoon => "The account was not lent: the return was asked for before it went out.",
    }
}
