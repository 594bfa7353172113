//! "This was not me": what the link in every notice shows, and what pressing the button does.

use homeward_types::limits::after;
use homeward_types::{Limits, Timestamp};

use crate::case::Case;
use crate::saga::data::Data;

/// What a link stands for at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The owner has said so already.
    Said,
    /// The time in which a recovery can be repudiated is over.
    TooLate,
    /// No lease was opened yet.
    BeforeTheLoan,
    /// The account is out, or on its way home.
    DuringTheLoan,
    /// The loan is over.
    AfterTheLoan,
    /// It ended without a loan.
    NeverLent,
}

impl Standing {
    /// What the link of `case`, whose saga knows `data`, stands for at `now`.
    pub fn of(case: &Case, data: &Data, limits: &Limits, now: Timestamp) -> Self {
        if case.repudiated_at.is_some() || data.repudiated_at.is_some() {
            return Self::Said;
        }
        match &case.ended {
            Some(ended) if after(ended.at, limits.repudiation) < now => Self::TooLate,
            Some(_) if data.was_opened() => Self::AfterTheLoan,
            Some(_) => Self::NeverLent,
            None if data.is_lease_open() => Self::DuringTheLoan,
            None if data.was_opened() => Self::AfterTheLoan,
            None => Self::BeforeTheLoan,
        }
    }

    /// Whether pressing the button would still do something.
    pub fn acts(self) -> bool {
        match self {
            Self::Said | Self::TooLate => false,
            Self::BeforeTheLoan | Self::DuringTheLoan | Self::AfterTheLoan | Self::NeverLent => true,
        }
    }

    /// What pressing the button will do (or, where it does nothing, why), in a sentence for the owner.
    pub fn effect(self, contains: bool) -> &'static str {
        match (self, contains) {
            (Self::Said, _) => "You have said so already, and security was told. There is nothing more to do here.",
            (Self::TooLate, _) => {
                "This link is no longer valid. If you believe that somebody else used your account, call your help desk."
            }
            (Self::BeforeTheLoan, _) => "The recovery is cancelled and security is told. Nothing about your account is changed.",
            (Self::NeverLent, _) => "Security is told. Nothing about your account was changed, and nothing will be.",
            (Self::DuringTheLoan, true) => {
                "The recovery is ended, your account is put back under two-step verification and disabled until two administrators \
                 have spoken with you, and security is told."
            }
            (Self::DuringTheLoan, false) => {
                "The recovery is ended, your account is put back under two-step verification, and security is told."
            }
            (Self::AfterTheLoan, true) => {
                "Your account is disabled until two administrators have spoken with you, and security is told that the factor which was \
                 set up is not yours."
            }
            (Self::AfterTheLoan, false) => "Security is told that the factor which was set up is not yours.",
        }
    }
}
