//! The limits that a lease keeps, as one column.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::Terms;

/// [`Terms`] as stored: durations in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct StoredTerms {
    read_lag: u64,
    late_limit: u64,
    useful_window: u64,
    retry: u64,
    retry_max: u64,
    probe: u64,
    patrol: u64,
    gone_apart: u64,
    overdue_incident: u64,
    failed_returns_incident: u32,
}

impl From<Terms> for StoredTerms {
    fn from(terms: Terms) -> Self {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            read_lag: micros(terms.read_lag),
            late_limit: micros(terms.late_limit),
            useful_window: micros(terms.useful_window),
            retry: micros(terms.retry),
            retry_max: micros(terms.retry_max),
            probe: micros(terms.probe),
            patrol: micros(terms.patrol),
            gone_apart: micros(terms.gone_apart),
            overdue_incident: micros(terms.overdue_incident),
            failed_returns_incident: terms.failed_returns_incident,
        }
    }
}

impl From<StoredTerms> for Terms {
    fn from(stored: StoredTerms) -> Self {
        let duration = Duration::from_micros;
        Self {
            read_lag: duration(stored.read_lag),
            late_limit: duration(stored.late_limit),
            useful_window: duration(stored.useful_window),
            retry: duration(stored.retry),
            retry_max: duration(stored.retry_max),
            probe: duration(stored.probe),
            patrol: duration(stored.patrol),
            gone_apart: duration(stored.gone_apart),
            overdue_incident: duration(stored.overdue_incident),
            failed_returns_incident: stored.failed_returns_incident,
        }
    }
}
