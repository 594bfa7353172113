//! What comes in: somebody's act, or an event of another service. Each is a fact, valid in every state.
//!
//! Words of persons (evidence, reasons) only pass through to the case's own rows; the saga keeps none of them.

use homeward_types::{PersonId, ProofKind, Timestamp};

use super::command::Notice;
use super::data::{Delivery, LeaseFact, Recipient};

/// A fact that comes in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The requester attached proof.
    ProofAttached {
        /// Who attached it.
        by: PersonId,
        /// Its kind.
        kind: ProofKind,
        /// What was seen or heard.
        evidence: String,
    },
    /// A person voted. Whether they may was checked before.
    Voted {
        /// Who.
        by: PersonId,
        /// For or against.
        approve: bool,
        /// Why.
        reason: String,
    },
    /// A person cancelled.
    Cancelled {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// A person wants the account home now.
    ReturnNow {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// A person says that the old factor is gone. Asks for a read; proves nothing.
    ResetConfirmed {
        /// Who.
        by: PersonId,
    },
    /// The owner says "this was not me".
    Repudiated,
    /// The exposure cap has a place for this recovery.
    SlotTaken,
    /// Policy's news of the lease.
    Lease(LeaseFact),
    /// Policy's answer about the old factor.
    FactorReset(ResetAnswer),
    /// Directory read the factor as absent, in a read begun after the account was seen out.
    FactorAbsent {
        /// When the read began.
        begun_at: Timestamp,
    },
    /// Directory has evidence of enrolment.
    Enrolled {
        /// When the deciding read began.
        seen_at: Timestamp,
        /// Which reads or which event, in words.
        evidence: String,
    },
    /// Policy dealt with what was opened in the window.
    WindowCleaned {
        /// What was revoked, in words.
        revoked: Vec<String>,
        /// What cannot be ended, in words.
        cannot: Vec<String>,
    },
    /// A notice was taken by a server, or given up.
    Noticed {
        /// Which.
        notice: Notice,
        /// To whom.
        to: Recipient,
        /// What became of it.
        delivery: Delivery,
    },
}

/// What policy said about the old factor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResetAnswer {
    /// It is gone.
    Gone,
    /// A person must remove it there.
    PersonNeeded {
        /// The exact page.
        page: String,
        /// How, in words.
        how: String,
    },
    /// The account was not seen out yet, or not any more.
    NotOut,
}
