//! Logs, traces and metrics of a process.
//!
//! Spans are always made, with valid ids, so that a trace can be followed through rows, messages and logs; they are
//! exported only where an OTLP endpoint is configured. Only Homeward's own spans are kept (targets that begin with
//! `homeward`): the exporter's own gRPC calls must not make spans that it would then export.
//!
//! A span costs little (below a microsecond in a release build), but not nothing: one for each call, statement or step,
//! never one for each row.

mod context;
mod line;
mod mask;
pub mod testing;

use std::time::Duration;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter as OtlpSpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanExporter};
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub use context::TraceContext;
pub use mask::mask_emails;

use self::line::Line;
use self::mask::Masked;
use crate::metrics::Page;
use crate::rpc::{Peer, PeerError};

/// What a process tells about itself, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Where traces and metrics go by OTLP over gRPC, for example `{ address = "http://127.0.0.1:4317" }`.
    /// Default: nowhere; ids are made and passed on all the same.
    pub otlp: Option<Peer>,
    /// Which share of new traces is exported, from 0 to 1, decided by trace id; a trace that began elsewhere keeps the
    /// decision made there. Default: 1.
    pub sample_ratio: f64,
    /// How long between two exports of metrics. Default: 15 s.
    #[serde(with = "humantime_serde")]
    pub metrics_interval: Duration,
    /// `human` or `json`. Default: `human`.
    pub log_format: LogFormat,
    /// What is logged: levels by target, for example `info,homeward_policy=debug`. Default: `info`.
    pub log_filter: String,
    /// Where a person looks at a trace, with `{trace_id}` in place of its id: `http://jaeger:16686/trace/{trace_id}` for Jaeger;
    /// for Grafana Tempo the address of an Explore query, as deploy/README.md shows. Default: none, and only ids are shown.
    pub trace_link: Option<String>,
    /// Whether logs and traces may show e-mail addresses in full. Default: no, they show as `m…@example.com`.
    pub full_emails: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp: None,
            sample_ratio: 1.0,
            metrics_interval: Duration::from_secs(15),
            log_format: LogFormat::Human,
            log_filter: "info".to_owned(),
            trace_link: None,
            full_emails: false,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A filter that says nothing sensible.
    #[error("log_filter {filter:?} is not understood; expected levels by target, for example \"info,homeward_policy=debug\"")]
    Filter {
        /// What was configured.
        filter: String,
        /// Why it is not understood.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No share of anything.
    #[error("sample_ratio is {0}; expected a number from 0 to 1")]
    Ratio(f64),
    /// The collector's address.
    #[error("the OTLP endpoint")]
    Peer(#[from] PeerError),
    /// The exporter does not accept its settings.
    #[error("setting up the OTLP export")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The Prometheus page cannot be set up.
    #[error("setting up the Prometheus page")]
    Page(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// Somebody was there first.
    #[error("telemetry was set up before in this process")]
    Twice(#[from] TryInitError),
}

/// Sets up logs, traces and metrics for the whole process. `service` is the OpenTelemetry service name, for example
/// `homeward` or `homeward-policy`. Call once, inside the tokio runtime, before the first span or instrument.
///
/// # Errors
/// A [`TelemetryError`].
pub fn init(config: &TelemetryConfig, service: &str) -> Result<Guard, TelemetryError> {
    let (filter, sampler) = (log_filter(&config.log_filter)?, sampler(config.sample_ratio)?);
    let resource = resource(service);
    let page = Page::new();
    let (mut tracers, mut meters) = (SdkTracerProvider::builder(), SdkMeterProvider::builder().with_reader(page.reader()?));
    if let Some(collector) = &config.otlp {
        let channel = collector.channel()?;
        let exporter = OtlpSpanExporter::builder().with_tonic().with_channel(channel.clone()).build()?;
        tracers = if config.full_emails {
            tracers.with_span_processor(batches(exporter))
        } else {
            tracers.with_span_processor(batches(Masked(exporter)))
        };
        let exporter = MetricExporter::builder().with_tonic().with_channel(channel).build()?;
        meters = meters.with_reader(PeriodicReader::builder(exporter).with_interval(config.metrics_interval).build());
    }
    let tracers = tracers.with_sampler(sampler).with_resource(resource.clone()).build();
    let meters = meters.with_resource(resource).build();
    let line = Line::new(config.log_format, !config.full_emails);
    subscriber(filter, tracers.tracer("homeward"), line, std::io::stderr).try_init()?;
    global::set_meter_provider(meters.clone());
    Ok(Guard { tracers, meters, page })
}

/// Gathers spans for an export each second: a trace can be looked at soon after its beginning. What a burst holds that is longer
/// than the queue is lost, so the queue is long.
fn batches<E: SpanExporter + 'static>(exporter: E) -> BatchSpanProcessor {
    let pace = BatchConfigBuilder::default()
        .with_scheduled_delay(Duration::from_secs(1))
        .with_max_queue_size(32_768)
        .with_max_export_batch_size(2_048);
    BatchSpanProcessor::builder(exporter).with_batch_config(pace.build()).build()
}

/// What is logged. Below warnings, the transport's own lines must be asked for by name: at `debug` they would drown ours.
fn log_filter(asked: &str) -> Result<Targets, TelemetryError> {
    let quiet = "opentelemetry=warn,h2=warn,hyper=warn,tonic=warn,tower=warn";
    let wrong = |source| TelemetryError::Filter { filter: asked.to_owned(), source };
    format!("{quiet},{asked}").parse().map_err(wrong)
}

fn sampler(ratio: f64) -> Result<Sampler, TelemetryError> {
    if (0.0..=1.0).contains(&ratio) {
        Ok(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
    } else {
        Err(TelemetryError::Ratio(ratio))
    }
}

fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.namespace", "homeward"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
        .build()
}

/// Where lapin logs a message that no queue took, with its whole payload, which may hold personal data. The outbox tells it
/// without.
const TELLS_PAYLOADS: &str = "lapin::returned_messages";

/// The layers of a process. One filter stands before both, which costs less than one for each, and which keeps them
/// agreed: a span that only the log kept would have no trace, and everything within it would fall out of its trace.
fn subscriber<T, W>(filter: Targets, tracer: T, line: Line, log: W) -> impl Subscriber + Send + Sync
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let finest = Filter::<Registry>::max_level_hint(&filter).map_or(LevelFilter::TRACE, |level| level.max(LevelFilter::INFO));
    let lives = filter_fn(move |metadata| {
        if metadata.is_span() {
            is_ours(metadata)
        } else {
            filter.would_enable(metadata.target(), metadata.level()) && metadata.target() != TELLS_PAYLOADS
        }
    });
    Registry::default()
        .with(lives.with_max_level_hint(finest))
        .with(trace_layer(tracer))
        .with(line.dispatch())
        .with(tracing_subscriber::fmt::layer().with_writer(log).fmt_fields(line.span_fields()).event_format(line))
}

/// Which spans live: Homeward's own, at level info or above.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target().starts_with("homeward")
}

fn trace_layer<S, T>(tracer: T) -> OpenTelemetryLayer<S, T>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        // None of these tells an operator anything, and together they double what a span costs.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        // Parents are found through `tracing`; then a span's parent may be set until it is first asked for its context.
        .with_context_activation(false)
}

/// Keeps telemetry going. Shut it down at the end of `main`, or the last spans are lost.
#[derive(Debug)]
pub struct Guard {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    page: Page,
}

impl Guard {
    /// The metrics as a Prometheus page.
    pub fn page(&self) -> Page {
        self.page.clone()
    }

    /// Exports what is left, waiting at most 5 s for the collector.
    pub async fn shutdown(self) {
        // The exporters block while they wait, and need the runtime meanwhile.
        let ended = tokio::task::spawn_blocking(move || (self.tracers.shutdown(), self.meters.shutdown())).await;
        if let Ok((traces, metrics)) = ended {
            for error in [traces, metrics].into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "the last traces or metrics may not have reached the collector");
            }
        }
    }
}

#[cfg(test)]
mod tests;
