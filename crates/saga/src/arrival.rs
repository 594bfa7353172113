//! What comes to a coordinator, what it hands to the domain, and what it answers.

use std::fmt;
use std::sync::Arc;

use homeward_chassis::telemetry::TraceContext;
use homeward_types::MessageId;
use uuid::Uuid;

use crate::definition::Saga;
use crate::plan::{Event, Progress};

/// Something for one saga.
pub enum Arrival<S: Saga> {
    /// A new saga begins. If there is one with this id already, nothing happens.
    New {
        /// Its id, chosen by whoever begins it, so that a repeat is recognised.
        id: Uuid,
        /// What is known at the start.
        data: S::Data,
        /// The span that every step's span will be a child of.
        trace: TraceContext,
    },
    /// Somebody acted, or something was reported.
    Input {
        /// The saga that it is for.
        id: Uuid,
        /// The fact.
        input: S::Input,
        /// The message that brought it, where one did; the saga's messages name it as their cause.
        cause: Option<MessageId>,
    },
    /// Whatever is due by now shall happen.
    Tick {
        /// The saga that it is for.
        id: Uuid,
    },
}

impl<S: Saga> Arrival<S> {
    /// An input that no message brought.
    pub fn input(id: impl Into<Uuid>, input: S::Input) -> Self {
        Self::Input { id: id.into(), input, cause: None }
    }

    /// The saga that it is for.
    pub fn id(&self) -> Uuid {
        match self {
            Self::New { id, .. } | Self::Input { id, .. } | Self::Tick { id } => *id,
        }
    }
}

/// One change of one saga, not yet committed: what the domain turns into rows and messages.
pub struct Applied<S: Saga> {
    /// The saga.
    pub id: Uuid,
    /// The version of its definition.
    pub version: u32,
    /// What made it move. [`Event::Start`] if it is new.
    pub event: Event<S::Input>,
    /// The message that brought the event, where one did.
    pub cause: Option<MessageId>,
    /// The step that it was at before; `None` if it is new or was closed.
    pub from: Option<String>,
    /// Where it is now, with all that is known.
    pub progress: Arc<Progress<S::Data>>,
    /// What it asks of others, in order.
    pub commands: Vec<S::Command>,
    /// The steps that were entered, in order; empty when it stayed.
    pub entered: Vec<&'static str>,
    /// The span of this change; the parent of whatever follows from it.
    pub trace: TraceContext,
    /// The row's version after this transaction. Rises with each one that changed the saga.
    pub row_version: i64,
}

impl<S: Saga> Applied<S> {
    /// The state that the event came in: a step, `new` or `closed`. For crash boundaries and metrics.
    pub fn state(&self) -> &str {
        match (&self.from, &self.event) {
            (Some(step), _) => step,
            (None, Event::Start) => "new",
            (None, Event::Input(_) | Event::Tick) => "closed",
        }
    }
}

/// What became of an arrival. The transaction is committed.
pub enum Handled<S: Saga> {
    /// It was noted; a repeat changes nothing.
    Done {
        /// Whether it told the saga something.
        changed: bool,
        /// Where the saga is at the transaction's end.
        progress: Arc<Progress<S::Data>>,
    },
    /// There is no saga with this id.
    Missing,
    /// The saga runs under a definition that this program does not have. It was left alone.
    Unknown(UnknownDefinition),
    /// It could not be handled; nothing of it was stored, and the other arrivals are not affected.
    Refused(Refusal),
}

/// Names a definition, or a step of one, that this program does not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "saga {name} version {version}, step {step:?}, is not known to this program; run the version that began it until it is closed"
)]
pub struct UnknownDefinition {
    /// The saga's name.
    pub name: String,
    /// The version that it began with.
    pub version: i64,
    /// The step that it is at.
    pub step: Option<String>,
}

/// Why an arrival could not be handled. Trying again helps only after a repair.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// A decision panicked: a bug in the saga.
    #[error("deciding about it panicked: {0}")]
    Panicked(String),
    /// The saga's stored data cannot be read.
    #[error("the saga's stored data cannot be read: {0}")]
    Unreadable(String),
    /// Its transaction failed also when it was alone in it, with the database healthy.
    #[error("its transaction failed")]
    Failed(#[source] Arc<crate::SagaError>),
}

impl<S: Saga> Clone for Arrival<S> {
    fn clone(&self) -> Self {
        match self {
            Self::New { id, data, trace } => Self::New { id: *id, data: data.clone(), trace: trace.clone() },
            Self::Input { id, input, cause } => Self::Input { id: *id, input: input.clone(), cause: *cause },
            Self::Tick { id } => Self::Tick { id: *id },
        }
    }
}

impl<S: Saga> Clone for Handled<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Done { changed, progress } => Self::Done { changed: *changed, progress: Arc::clone(progress) },
            Self::Missing => Self::Missing,
            Self::Unknown(unknown) => Self::Unknown(unknown.clone()),
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
        }
    }
}

impl<S: Saga> fmt::Debug for Arrival<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { id, data, .. } => f.debug_struct("New").field("id", id).field("data", data).finish_non_exhaustive(),
            Self::Input { id, input, cause } => {
                f.debug_struct("Input").field("id", id).field("input", input).field("cause", cause).finish()
            }
            Self::Tick { id } => f.debug_struct("Tick").field("id", id).finish(),
        }
    }
}

impl<S: Saga> fmt::Debug for Applied<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied")
            .field("id", &self.id)
            .field("event", &self.event)
            .field("from", &self.from)
            .field("progress", &self.progress)
            .field("commands", &self.commands)
            .field("entered", &self.entered)
            .finish_non_exhaustive()
    }
}

impl<S: Saga> fmt::Debug for Handled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { changed, progress } => {
                f.debug_struct("Done").field("changed", changed).field("progress", progress).finish()
            }
            Self::Missing => f.write_str("Missing"),
            Self::Unknown(unknown) => f.debug_tuple("Unknown").field(unknown).finish(),
            Self::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
        }
    }
}
