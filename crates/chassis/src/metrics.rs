//! The instruments of a process, by OTLP where configured and always as a Prometheus page.
//!
//! Names and units are OpenTelemetry's (`homeward.outbox.lag`, `s`); the page shows them as Prometheus spells them
//! (`homeward_outbox_lag_seconds`). Make an instrument once, after [`telemetry::init`](crate::telemetry::init), and keep
//! it: one that is made before is deaf for ever. Attributes must have few values: never an id, never personal data.

use opentelemetry::global;
use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::error::OTelSdkError;
use prometheus::{Registry, TextEncoder};

pub use opentelemetry::KeyValue;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// Where the duration of a step or a call falls, in seconds: from a millisecond to ten minutes.
const SECONDS: [f64; 16] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

/// The meter of Homeward, for instruments that the functions here do not make.
pub fn meter() -> Meter {
    global::meter("homeward")
}

/// Counts things that happen. The page appends `_total`.
pub fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    meter().u64_counter(name).with_description(description).build()
}

/// A number that goes up and down, set by whoever knows it. `unit` as in UCUM: `s`, `By`, `{account}`.
pub fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Gauge<f64> {
    meter().f64_gauge(name).with_unit(unit).with_description(description).build()
}

/// How long things take, in seconds, in buckets from a millisecond to ten minutes.
pub fn seconds(name: &'static str, description: &'static str) -> Histogram<f64> {
    meter().f64_histogram(name).with_unit("s").with_description(description).with_boundaries(SECONDS.to_vec()).build()
}

/// The metrics of this process in Prometheus' text format.
#[derive(Debug, Clone)]
pub struct Page(Registry);

impl Page {
    /// What to send as `Content-Type`.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    pub(crate) fn new() -> Self {
        Self(Registry::new())
    }

    pub(crate) fn reader(&self) -> Result<PrometheusExporter, OTelSdkError> {
        opentelemetry_prometheus::exporter().with_registry(self.0.clone()).scope_info_enabled(false).build()
    }

    /// The page as of now.
    ///
    /// # Errors
    /// If an instrument's name or value cannot be shown, which is a fault of ours.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.gather())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;

    #[test]
    fn the_page_shows_instruments_as_prometheus_spells_them() {
        let page = Page::new();
        let provider = SdkMeterProvider::builder().with_reader(page.reader().unwrap()).build();
        let meter = provider.meter("homeward");
        meter.f64_gauge("homeward.lease.oldest").with_unit("s").build().record(12.5, &[]);
        meter.u64_counter("homeward.provider.requests").build().add(3, &[KeyValue::new("result", "refused")]);
        meter.f64_histogram("homeward.return.latency").with_unit("s").with_boundaries(SECONDS.to_vec()).build().record(0.3, &[]);
        let text = page.render().unwrap();
        assert!(text.contains("homeward_lease_oldest_seconds 12.5"), "{text}");
        assert!(text.contains("homeward_provider_requests_total{result=\"refused\"} 3"), "{text}");
        assert!(text.contains("le=\"0.5\"} 1"), "{text}");
    }
}
