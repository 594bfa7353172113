//! How far the outbox is behind, as metrics.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::metrics::{KeyValue, gauge};

use crate::outbox::{Inner, store};

/// How often the outbox is counted. A long one takes a moment to count, so not more often.
const EVERY: Duration = Duration::from_secs(10);

/// Measures until dropped.
pub(super) async fn watch(outbox: &Arc<Inner>) {
    let lag = gauge("homeward.outbox.lag", "s", "Age of the oldest message that the broker has not confirmed");
    let waiting = gauge("homeward.outbox.waiting", "{message}", "Messages that the broker has not confirmed");
    let parked = gauge("homeward.outbox.parked", "{message}", "Messages that wait for a person");
    let service = [KeyValue::new("service", outbox.service.clone())];
    loop {
        match store::backlog(&outbox.db).await {
            Ok(backlog) => {
                let age = backlog.oldest.map_or(0.0, |oldest| (outbox.clock.now() - oldest).as_seconds_f64());
                lag.record(age.max(0.0), &service);
                waiting.record(count(backlog.waiting), &service);
                parked.record(count(backlog.parked), &service);
            }
            Err(error) => tracing::debug!(error = &error as &dyn Error, "cannot count the outbox"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Exact as far as anyone will read it.
fn count(messages: u64) -> f64 {
    f64::from(u32::try_from(messages).unwrap_or(u32::MAX))
}
