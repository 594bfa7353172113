//! How long this worker may begin to send what it holds. A worker that was paused for longer begins nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use homeward_types::{Clock, Timestamp};

/// Until when; asked before each letter, moved by whoever renews the claim. Clones share it.
#[derive(Clone)]
pub struct Term {
    clock: Arc<dyn Clock>,
    until: Arc<AtomicI64>,
}

impl Term {
    /// Until then.
    pub fn new(clock: Arc<dyn Clock>, until: Timestamp) -> Self {
        Self { clock, until: Arc::new(AtomicI64::new(until.timestamp_micros())) }
    }

    /// Whether a letter may begin now.
    pub fn holds(&self) -> bool {
        self.clock.now().timestamp_micros() < self.until.load(Ordering::Relaxed)
    }

    /// Until then from now on.
    pub fn extend(&self, until: Timestamp) {
        self.until.store(until.timestamp_micros(), Ordering::Relaxed);
    }
}
