use std::io::Write;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::*;

/// Runs `work` under the two layers as a process has them, and gives what was logged and what was traced.
fn observe(format: LogFormat, mask: bool, filter: &str, work: impl FnOnce()) -> (String, Vec<SpanData>) {
    let log = Log::default();
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let subscriber = subscriber(filter.parse().unwrap(), tracers.tracer("homeward"), Line::new(format, mask), log.clone());
    tracing::subscriber::with_default(subscriber, work);
    let written = log.0.lock().unwrap().clone();
    (String::from_utf8(written).unwrap(), exporter.get_finished_spans().unwrap())
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Something happens for one recovery, in its trace.
fn lend() {
    let stored = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: String::new(),
    };
    let case = tracing::info_span!("saga.run", saga.id = 7, recovery = "r-1", ballast = "not shown");
    stored.adopt(&case);
    let _case = case.entered();
    let _step = tracing::info_span!("saga.step", saga.step = "lend", recovery = "r-1").entered();
    tracing::info!(account = "557058:0b5e", seconds = 1.5, tries = 2, at_home = false, "lease opened");
}

#[test]
fn a_line_for_people_reads_alone_and_names_trace_and_recovery() {
    let (log, _) = observe(LogFormat::Human, true, "info", lend);
    let (_time, rest) = log.split_once(' ').unwrap();
    assert_eq!(
        rest,
        " INFO homeward_chassis::telemetry::tests: lease opened account=557058:0b5e seconds=1.5 tries=2 at_home=false \
         trace_id=0af7651916cd43dd8448eb211c80319c saga.step=lend recovery=r-1 saga.id=7\n"
    );
}

#[test]
fn a_line_of_json_is_one_object_with_the_same_fields() {
    let (log, _) = observe(LogFormat::Json, true, "info", lend);
    let mut line: serde_json::Value = serde_json::from_str(&log).unwrap();
    let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    insta::assert_json_snapshot!(line, @r#"
    {
      "account": "557058:0b5e",
      "at_home": false,
      "level": "INFO",
      "message": "lease opened",
      "recovery": "r-1",
      "saga.id": "7",
      "saga.step": "lend",
      "seconds": 1.5,
      "target": "homeward_chassis::telemetry::tests",
      "trace_id": "0af7651916cd43dd8448eb211c80319c",
      "tries": 2
    }
    "#);
}

#[test]
fn a_line_never_shows_a_full_address_or_breaks_into_two() {
    let work = || {
        tracing::warn!(to = "mia@example.com", error = ?"a\nb", "cannot mail mia@example.com\nINFO forged");
    };
    let (log, _) = observe(LogFormat::Human, true, "info", work);
    assert!(!log.contains("mia@") && log.contains("to=m…@example.com") && log.lines().count() == 1, "{log}");
    let (log, _) = observe(LogFormat::Json, true, "info", work);
    assert!(!log.contains("mia@") && log.lines().count() == 1, "{log}");
    let (log, _) = observe(LogFormat::Human, false, "info", work);
    assert!(log.contains("to=mia@example.com"), "{log}");
}

#[test]
fn only_our_own_spans_are_traced_whatever_the_log_shows() {
    let work = || {
        let _foreign = tracing::info_span!(target: "hyper::proto", "foreign").entered();
        let _fine = tracing::debug_span!(target: "homeward_store", "db.lease.update").entered();
        let _ours = tracing::info_span!(target: "homeward_policy", "ours").entered();
        tracing::debug!(target: "homeward_policy", "shown");
        tracing::debug!(target: "hyper::proto", "hidden");
    };
    let (log, spans) = observe(LogFormat::Human, true, "info,homeward_policy=debug", work);
    let names: Vec<_> = spans.into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["ours"]);
    assert!(log.contains("shown") && log.contains("trace_id=") && !log.contains("hidden"), "{log}");
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, sent: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().unwrap().push(sent.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(&self, sent: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(sent.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The one test that sets up the whole process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_exports_its_spans_and_metrics_and_nothing_of_the_export_itself() {
    let collector = Collector::default();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", incoming.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()))
        .serve_with_incoming(incoming);
    tokio::spawn(serving);

    let config =
        TelemetryConfig { otlp: Some(Peer::plaintext(address)), log_filter: "error".to_owned(), ..TelemetryConfig::default() };
    let guard = init(&config, "homeward-policy").unwrap();
    assert!(matches!(init(&TelemetryConfig::default(), "again"), Err(TelemetryError::Twice(_))));
    let outbox = crate::metrics::gauge("homeward.outbox.lag", "s", "how long the oldest message waits");
    outbox.record(2.5, &[]);
    tracing::info_span!(target: "homeward_policy", "saga.run", told = "mia@example.com")
        .in_scope(|| tracing::error!("cannot mail mia@example.com"));
    let page = guard.page().render().unwrap();
    assert!(page.contains("homeward_outbox_lag_seconds 2.5"), "{page}");
    guard.shutdown().await;

    let traces = collector.traces.lock().unwrap();
    let resources = traces.iter().flat_map(|sent| &sent.resource_spans);
    let (names, services): (Vec<_>, Vec<_>) = resources
        .flat_map(|part| part.scope_spans.iter().flat_map(|scope| &scope.spans).map(move |span| (&span.name, &part.resource)))
        .map(|(name, resource)| (name.as_str(), format!("{resource:?}")))
        .unzip();
    assert_eq!(names, ["saga.run"]);
    let all = format!("{traces:?}");
    assert!(all.contains("cannot mail m…@example.com") && !all.contains("mia@"), "{all}");
    assert!(services[0].contains("homeward-policy"), "{services:?}");
    let metrics = format!("{:?}", collector.metrics.lock().unwrap());
    assert!(metrics.contains("homeward.outbox.lag"), "{metrics}");
}

#[test]
fn a_trace_that_is_not_sampled_has_valid_ids_and_a_trace_from_elsewhere_keeps_its_decision() {
    let exporter = InMemorySpanExporter::default();
    let builder = SdkTracerProvider::builder().with_sampler(sampler(0.0).unwrap());
    let tracers = builder.with_simple_exporter(exporter.clone()).build();
    let layers =
        subscriber(log_filter("off").unwrap(), tracers.tracer("homeward"), Line::new(LogFormat::Human, true), Log::default());
    tracing::subscriber::with_default(layers, || {
        let own = TraceContext::of(&tracing::info_span!("own"));
        assert!(own.trace_id().is_some() && own.traceparent.ends_with("-00"), "{own:?}");
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
        let span = tracing::info_span!("continued");
        TraceContext { traceparent: sent, ..TraceContext::default() }.adopt(&span);
        assert!(TraceContext::of(&span).traceparent.ends_with("-01"));
    });
    let names: Vec<_> = exporter.get_finished_spans().unwrap().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["continued"]);
}

#[test]
fn the_transport_is_quiet_unless_it_is_asked_for() {
    let debug = log_filter("debug").unwrap();
    assert!(debug.would_enable("homeward_policy", &Level::DEBUG));
    assert!(!debug.would_enable("h2::codec", &Level::DEBUG) && debug.would_enable("opentelemetry_sdk", &Level::WARN));
    assert!(log_filter("debug,h2=trace").unwrap().would_enable("h2::codec", &Level::TRACE));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |config: TelemetryConfig| init(&config, "x").unwrap_err().to_string();
    let ratio = refused(TelemetryConfig { sample_ratio: 1.5, ..TelemetryConfig::default() });
    assert_eq!(ratio, "sample_ratio is 1.5; expected a number from 0 to 1");
    let filter = refused(TelemetryConfig { log_filter: "homeward=loud".to_owned(), ..TelemetryConfig::default() });
    assert!(filter.starts_with("log_filter \"homeward=loud\" is not understood"), "{filter}");
}
