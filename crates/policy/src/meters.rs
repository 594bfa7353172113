//! The numbers that security and operators watch.

use homeward_chassis::metrics::{self, Counter, Gauge, Histogram, KeyValue};
use homeward_types::{OrganisationId, Timestamp};

use crate::lease::store::Exposure;
use crate::lease::{Lease, State};

/// Policy's instruments. Made once, after telemetry was set up.
#[derive(Debug, Clone)]
pub struct Meters {
    out: Gauge<f64>,
    oldest: Gauge<f64>,
    overdue: Gauge<f64>,
    open: Gauge<f64>,
    exposure: Histogram<f64>,
    return_latency: Histogram<f64>,
    refused: Counter<u64>,
    attempts: Counter<u64>,
    incidents: Counter<u64>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            out: metrics::gauge("homeward.accounts.out", "{account}", "Accounts out now"),
            oldest: metrics::gauge("homeward.accounts.oldest_out", "s", "How long the account that is out longest has been out"),
            overdue: metrics::gauge("homeward.lease.overdue", "{lease}", "Open leases past their due time"),
            open: metrics::gauge("homeward.lease.open", "{lease}", "Open leases"),
            exposure: metrics::seconds("homeward.lease.exposure", "How long an account was out under one lease"),
            return_latency: metrics::seconds("homeward.return.latency", "From the beginning of a return to the end of its lease"),
            refused: metrics::counter("homeward.lease.refused", "Lends that policy refused"),
            attempts: metrics::counter("homeward.attempt", "Attempts by kind and what was answered"),
            incidents: metrics::counter("homeward.incident", "Incidents opened"),
        }
    }
}

impl Meters {
    /// An organisation's exposure as of `now`.
    pub fn exposure(&self, organisation: &OrganisationId, exposure: &Exposure, now: Timestamp) {
        let of = [KeyValue::new("organisation", organisation.to_string())];
        self.out.record(number(exposure.out_now), &of);
        self.overdue.record(number(exposure.overdue), &of);
        self.open.record(number(exposure.open), &of);
        self.oldest.record(exposure.oldest_out_at.map_or(0.0, |since| seconds(since, now)), &of);
    }

    /// A lease has ended.
    pub fn ended(&self, lease: &Lease) {
        let State::Closed(ending) = &lease.state else { return };
        let of = [KeyValue::new("organisation", lease.organisation.to_string()), KeyValue::new("end", ending.end.name())];
        if ending.refusal.is_some() {
            self.refused.add(1, &of);
        }
        if let Some(out) = &lease.sight.out {
            self.exposure.record(seconds(out.first_at, lease.sight.back_at.unwrap_or(ending.at)), &of);
        }
        if let Some(since) = lease.returning_at {
            self.return_latency.record(seconds(since, ending.at), &of);
        }
    }

    /// Attempts were answered.
    pub fn answered(&self, kind: &'static str, answer: &'static str, attempts: u64) {
        self.attempts.add(attempts, &[KeyValue::new("kind", kind), KeyValue::new("answer", answer)]);
    }

    /// Incidents were opened.
    pub fn incident(&self, kind: &'static str) {
        self.incidents.add(1, &[KeyValue::new("kind", kind)]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of accounts are far below 2^52")]
fn number(count: i64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "durations of a lease are far below 2^52 microseconds")]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).num_microseconds().unwrap_or(0).max(0) as f64 / 1e6
}
