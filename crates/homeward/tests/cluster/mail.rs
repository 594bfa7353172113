//! Whether a process of notification was between the acceptance of letters and the commit that says so, from its record of
//! crash boundaries.

use std::path::PathBuf;

use homeward_world::cluster::Service;

/// The record of one run of a process of notification.
pub struct Post {
    record: PathBuf,
}

impl Post {
    /// Of this process; other services send no letters.
    pub fn of(service: &Service) -> Option<Self> {
        (service.role == "notification").then(|| Self { record: service.record() })
    }

    fn count(&self, moment: &str) -> usize {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        text.lines().filter(|line| *line == moment).count()
    }

    /// Batches of letters that it began to send.
    pub fn batches(&self) -> usize {
        self.count("provider notice begin")
    }

    /// Whether a batch was begun whose outcome was not written yet. A worker sends one batch after another.
    pub fn is_between(&self) -> bool {
        self.batches() > self.count("commit notice-accepted end")
    }
}
