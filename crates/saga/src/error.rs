//! What can go wrong while sagas are handled.

use std::error::Error;
use std::sync::Arc;

use homeward_store::StoreError;

/// A transaction over sagas failed; nothing of it was stored (a commit whose answer was lost excepted).
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// The database failed, or holds what cannot be understood.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The service could not turn decisions into rows and messages.
    #[error("the service could not carry out what sagas decided")]
    Domain(#[source] Box<dyn Error + Send + Sync>),
    /// A decision or the service's part of the transaction panicked.
    #[error("{doing} panicked: {message}")]
    Panicked {
        /// What was being done.
        doing: &'static str,
        /// What the panic said.
        message: String,
    },
    /// Somebody else stored a saga that this transaction had read.
    #[error("{missed} saga rows were stored by somebody else in between")]
    Raced {
        /// How many rows could not be written.
        missed: u64,
    },
    /// The service kept answering decisions with new inputs.
    #[error("inputs still followed one another after {rounds} rounds in one transaction; the service answers in a circle")]
    Circle {
        /// How often it was asked.
        rounds: usize,
    },
}

impl SagaError {
    /// A failure of the service's own.
    pub fn domain(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Domain(error.into())
    }

    /// Whether the database itself is unwell, so that no arrival is to blame: keep them, back off, try again later.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Self::Store(error) => error.is_infrastructure(),
            Self::Domain(error) => store_error(&**error).is_some_and(StoreError::is_infrastructure),
            Self::Panicked { .. } | Self::Raced { .. } | Self::Circle { .. } => false,
        }
    }

    /// Whether the service's part failed because a row with this key is there already.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unique_violation(),
            Self::Domain(error) => store_error(&**error).is_some_and(StoreError::is_unique_violation),
            Self::Panicked { .. } | Self::Raced { .. } | Self::Circle { .. } => false,
        }
    }
}

/// The store's error among an error's causes.
fn store_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<StoreError>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Why arrivals that were submitted got no answer of their own.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The coordinator stops. What was submitted may or may not have been handled; submit it again after the restart.
    #[error("the coordinator of sagas is stopping; try again when the service is back")]
    Stopped,
    /// The database is unwell. Nothing is known to be stored; submit the same again later.
    #[error("the database of sagas is not available")]
    Unavailable(#[source] Arc<SagaError>),
}
