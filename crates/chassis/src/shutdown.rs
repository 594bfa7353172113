//! Tasks that stop together, and that bring the process down loudly when one of them fails.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the process stops with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShutdownError {
    /// A task returned an error.
    #[error("{task} failed: {reason}")]
    Failed {
        /// The task's name.
        task: &'static str,
        /// Its error with all causes.
        reason: String,
    },
    /// A task panicked.
    #[error("{task} panicked: {message}")]
    Panicked {
        /// The task's name.
        task: &'static str,
        /// What the panic said.
        message: String,
    },
    /// Tasks did not stop in time.
    #[error("{left} task(s) did not stop within {patience:?}")]
    Stuck {
        /// How many are left.
        left: usize,
        /// How long was waited.
        patience: Duration,
    },
}

/// One handle for the life of a process (or of one role in a test). Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    begun: CancellationToken,
    crashed: CancellationToken,
    tasks: TaskTracker,
    failure: OnceLock<ShutdownError>,
}

impl Shutdown {
    /// A handle with no task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it ends, is told to stop through [`Self::cancelled`], or the role [crashes](Self::crash).
    ///
    /// An error or a panic is logged, remembered for [`Self::finish`], and begins the shutdown.
    pub fn spawn<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send,
    {
        let shutdown = self.clone();
        self.0.tasks.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = shutdown.0.crashed.cancelled() => return,
                outcome = AssertUnwindSafe(task).catch_unwind() => outcome,
            };
            match outcome {
                Ok(Ok(())) => tracing::debug!(task = name, "task ended"),
                Ok(Err(error)) => shutdown.fail(ShutdownError::Failed { task: name, reason: crate::error_chain(&*error.into()) }),
                Err(panic) => shutdown.fail(ShutdownError::Panicked { task: name, message: panic_message(&*panic) }),
            }
        });
    }

    /// As [`Self::spawn`], for a task that has no error to end with.
    pub fn run(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, async move {
            task.await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Begins the shutdown as soon as the process is told to stop (interrupt or terminate).
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => shutdown.begin("interrupted"),
                _ = terminate.recv() => shutdown.begin("terminated"),
                () = shutdown.cancelled() => {}
            }
        });
        Ok(())
    }

    /// Asks every task to stop.
    pub fn begin(&self, reason: &str) {
        if !self.0.begun.is_cancelled() {
            tracing::info!(reason, "shutting down");
        }
        self.0.begun.cancel();
    }

    /// Whether tasks were asked to stop.
    pub fn is_begun(&self) -> bool {
        self.0.begun.is_cancelled()
    }

    /// Waits until tasks are asked to stop. Safe to drop and call again.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.0.begun.cancelled()
    }

    /// The signal itself, for what wants a token.
    pub fn token(&self) -> CancellationToken {
        self.0.begun.clone()
    }

    /// Drops every task where it stands, at its next await: what a crash looks like from inside, for tests.
    pub fn crash(&self) {
        self.0.crashed.cancel();
        self.0.begun.cancel();
    }

    /// Waits until the shutdown has begun, then until all tasks have ended, at most `patience`.
    ///
    /// # Errors
    /// The first failure of a task, else [`ShutdownError::Stuck`].
    pub async fn finish(&self, patience: Duration) -> Result<(), ShutdownError> {
        self.cancelled().await;
        self.0.tasks.close();
        let stopped = tokio::time::timeout(patience, self.0.tasks.wait()).await;
        match (self.0.failure.get(), stopped) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(ShutdownError::Stuck { left: self.0.tasks.len(), patience }),
        }
    }

    fn fail(&self, failure: ShutdownError) {
        tracing::error!(error = %failure, "a task failed; shutting down");
        // Only the first failure is the cause; later ones follow from it.
        let _ = self.0.failure.set(failure);
        self.begin("a task failed");
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
