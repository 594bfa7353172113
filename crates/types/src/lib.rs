//! The words of the procedure as types: ids, clock, policies, factors, leases' ends, limits, diagnosis.
//!
//! Knows nothing of services, wire formats or databases, and does no I/O. Everything here is plain data
//! or a pure function, so the same code runs in production, in property tests and in a model checker.

pub mod capabilities;
pub mod clock;
pub mod diagnosis;
pub mod end;
pub mod grant;
pub mod id;
pub mod limits;
pub mod name;
pub mod organisation;
pub mod person;
pub mod placement;
pub mod tier;

pub use capabilities::{ResetMethod, VersionTrust};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use diagnosis::{Diagnosis, Facts, diagnose};
pub use end::{LeaseEnd, Refusal};
pub use grant::Grant;
pub use id::{AttemptId, Id, IncidentId, LeaseId, MessageId, RecoveryId};
pub use limits::Limits;
pub use name::{AccountId, Email, NameError, OrganisationId, PersonId, PolicyId};
pub use organisation::{Organisation, OrganisationError, Policy, TwoStep};
pub use person::{Person, Role};
pub use placement::{Factor, Placement, PlacementVersion};
pub use tier::{ProofKind, Tier, TierRule, Tiers};
