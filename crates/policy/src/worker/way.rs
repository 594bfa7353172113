//! What the read of the addresses, immediately before the write, says to do with an attempt (pure).

use homeward_types::{Organisation, Placement};

use crate::lease::Kind;
use crate::lease::store::{Candidate, Marking};

/// What is done with an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To be marked and written.
    Write(Marking),
    /// Not now: it was not read, or it stands in another protecting policy. Reads decide what that means.
    Later,
    /// Not at all: the account is not where the lease knows it, or accounts are lent elsewhere by now.
    GiveUp,
}

/// What is done with an attempt, given where its account was just read.
pub fn way(kind: Kind, candidate: &Candidate, placement: Option<&Placement>, organisation: &Organisation) -> Way {
    let Some(placement) = placement else { return Way::Later };
    let (Some(address), Some(policy)) = (&placement.email, &placement.policy) else { return Way::Later };
    let to = match kind {
        Kind::Lend if *policy != candidate.home || candidate.recovery_policy != organisation.recovery_policy => {
            return Way::GiveUp;
        }
        Kind::Lend => &candidate.recovery_policy,
        Kind::Return if *policy != candidate.home && organisation.protects(policy) => return Way::Later,
        Kind::Return => &candidate.home,
    };
    Way::Write(Marking { lease: candidate.lease, number: candidate.number, address: address.clone(), destination: to.clone() })
}
