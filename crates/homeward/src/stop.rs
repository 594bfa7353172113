//! How a process ends when it is told to: within ten seconds, with everything that it had begun done or left to others.

use std::time::Duration;

use homeward_chassis::telemetry::Guard;

/// How long services may take to end what they are doing. Running calls get a little less.
pub const GRACE: Duration = Duration::from_secs(8);

/// How long the last traces and metrics may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// Sends the last traces and metrics, unless nobody takes them.
pub async fn telemetry(guard: Guard) {
    if tokio::time::timeout(LAST_WORDS, guard.shutdown()).await.is_err() {
        tracing::warn!("the collector did not take the last traces and metrics within {LAST_WORDS:?}");
    }
}

/// Runs a process to its end. Threads that still wait for somebody then are left behind.
pub fn with_runtime<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(outcome)
}
