//! What comes from the other services, in the saga's words.

use homeward_proto::policy::v1 as policy;
use homeward_proto::wire::{WireError, lease_end, moment_optional};
use homeward_proto::words::v1 as words;
use homeward_types::{Factor, LeaseEnd, Refusal};

use crate::saga::data::{LeaseFact, LeaseState};

/// What policy says of a lease.
///
/// # Errors
/// The field that cannot be.
pub fn lease_fact(lease: &policy::Lease) -> Result<LeaseFact, WireError> {
    let refusal = refusal(lease.refusal());
    let end = lease_end(lease.end(), &lease.end_policy)?;
    let state = match (lease.state(), end, refusal) {
        (policy::LeaseState::Closed, Some(end), _) => LeaseState::Closed(end),
        (_, _, Some(_)) => LeaseState::Closed(LeaseEnd::NeverLent),
        (policy::LeaseState::Opening, _, None) => LeaseState::Opening,
        (policy::LeaseState::Active, _, None) => LeaseState::Active,
        (policy::LeaseState::Closing, _, None) => LeaseState::Closing,
        (policy::LeaseState::Settling, _, None) => LeaseState::Settling,
        (policy::LeaseState::Closed, None, None) => return Err(WireError::missing("lease.end")),
        (policy::LeaseState::Unspecified, _, None) => return Err(WireError::missing("lease.state")),
    };
    let factor = match lease.factor_at_lend() {
        words::Factor::Unspecified => None,
        factor @ (words::Factor::Enrolled | words::Factor::Absent | words::Factor::Unknown) => Some(Factor::from(factor)),
    };
    let is_closed = matches!(state, LeaseState::Closed(_));
    Ok(LeaseFact {
        version: lease.version,
        state,
        refusal,
        factor,
        out_at: moment_optional("lease.seen_out_at", lease.seen_out_at)?,
        out_version: lease.out_version,
        due_at: moment_optional("lease.due_at", lease.due_at)?,
        back_at: moment_optional("lease.seen_back_at", lease.seen_back_at)?,
        // Kept for the end only: the saga's row stays small while it is hot.
        evidence: if is_closed { lease.evidence.clone() } else { String::new() },
    })
}

fn refusal(refusal: policy::Refusal) -> Option<Refusal> {
    match refusal {
        policy::Refusal::Unspecified => None,
        policy::Refusal::Changed => Some(Refusal::Changed),
        policy::Refusal::Busy => Some(Refusal::Busy),
        policy::Refusal::Expired => Some(Refusal::Expired),
        policy::Refusal::Cap => Some(Refusal::Cap),
        policy::Refusal::Grant => Some(Refusal::Grant),
        policy::Refusal::Draining => Some(Refusal::Draining),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(state: policy::LeaseState) -> policy::Lease {
        policy::Lease { version: 3, state: state.into(), evidence: "two reads".into(), ..policy::Lease::default() }
    }

    #[test]
    fn a_lease_is_read_in_every_state() {
        let table = [
            (policy::LeaseState::Opening, LeaseState::Opening),
            (policy::LeaseState::Active, LeaseState::Active),
            (policy::LeaseState::Closing, LeaseState::Closing),
            (policy::LeaseState::Settling, LeaseState::Settling),
        ];
        for (wire, state) in table {
            let fact = lease_fact(&lease(wire)).unwrap();
            assert_eq!((fact.state, fact.version, fact.evidence.as_str()), (state, 3, ""));
        }
        let mut closed = lease(policy::LeaseState::Closed);
        assert!(lease_fact(&closed).is_err(), "closed without an end");
        closed.end = words::LeaseEnd::Home.into();
        let fact = lease_fact(&closed).unwrap();
        assert_eq!((fact.state, fact.evidence.as_str()), (LeaseState::Closed(LeaseEnd::Home), "two reads"));
        assert!(lease_fact(&lease(policy::LeaseState::Unspecified)).is_err());
    }

    #[test]
    fn a_refusal_means_never_lent_whatever_else_is_said() {
        let mut refused = lease(policy::LeaseState::Unspecified);
        refused.refusal = policy::Refusal::Cap.into();
        let fact = lease_fact(&refused).unwrap();
        assert_eq!((fact.state, fact.refusal), (LeaseState::Closed(LeaseEnd::NeverLent), Some(Refusal::Cap)));
    }
}
