//! The identity-provider port, and its adapters: what Homeward asks of the place where accounts and policies live.
//!
//! [`IdentityProvider`] is written in the words of the procedure; nothing in it is Atlassian's. An adapter splits what it
//! is asked into the provider's calls, says of every answer what it proves, and never decides. Not knowing is a value
//! everywhere: an account that an answer does not mention is missing from the result, and the caller decides what that means.

mod account;
pub mod atlassian;
mod batch;
mod budget;
mod capabilities;
mod care;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod event;
mod moving;
mod port;
mod priority;
mod reason;
mod self_test;

pub use account::{AccountRecord, Cursor, FactorReading, Holder, Origin, Page, Search};
pub use atlassian::{AtlassianProvider, AtlassianSettings, EventActions, SettingsError};
pub use batch::{BatchLimit, Bisection};
pub use budget::{PathBudget, Permit, RateBudget, RateNews, Usage};
pub use capabilities::{CallKind, CallLimit, Capabilities, Eventual, Freshness, LeastExposure, LimitSource, RateLimit};
pub use care::{AccountToken, Look, ManageCheck, ManageRefusal, Presence, Reset, ResetInstruction, Sighting, TokenId};
pub use error::{ErrorClass, ProviderError};
pub use event::{Event, EventKind, EventPage};
pub use moving::{FailureReason, MoveAccepted, MoveAnswer, MoveOrder, TaskFailure, TaskId, TaskReport};
pub use port::IdentityProvider;
pub use priority::Priority;
pub use reason::Reason;
pub use self_test::{Duty, Expiry, KeyExpiry, KeyName, KeyTest, May, Note, ReadOutcome, ReadTest, SelfTest, ToldBy, WriteTest};
