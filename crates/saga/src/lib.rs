//! A procedure that always reaches its end: named steps, pure decisions, batched effects.
//!
//! What a saga here promises:
//! - Every input is first *noted* as a fact in the saga's data, whatever the saga is doing; then the present step is asked
//!   whether, given all that is known, it is done. Repeats, reorderings and early arrivals need no special cases.
//! - Each command is sent at least once, and asked again until it is answered.
//! - Before the guard, failure compensates the failed step and then the earlier ones, newest first. From the guard on
//!   there is one way out, the guarding step, which is also a step of every successful run and never gives up.
//! - The last step runs at every end.
//!
//! [`plan()`] makes every decision and is pure; the coordinator has every effect.

pub mod arrival;
pub mod coordinator;
pub mod definition;
pub mod domain;
pub mod error;
pub mod plan;
pub mod proofs;
pub mod registry;
mod store;
mod timers;

pub use arrival::{Applied, Arrival, Handled, Refusal, UnknownDefinition};
pub use coordinator::{Coordinator, MIGRATIONS, Seen};
pub use definition::{Compensation, Definition, Noted, ReAsk, Saga, Schedule, Step, Verdict};
pub use domain::Domain;
pub use error::{SagaError, SubmitError};
pub use plan::{Event, Move, Progress, due_at, plan};
pub use registry::Registry;
