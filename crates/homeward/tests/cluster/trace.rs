//! One recovery is one trace, across processes, servers, waits and restarts: what a real collector receives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use homeward_world::Cluster;
use homeward_world::cluster::Wishes;
use homeward_world::desk::Ballot;
use homeward_world::letters::Letters;
use homeward_world::people::Browsers;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How soon a person who asked finds the trace.
const VISIBLE: Duration = Duration::from_secs(5);
/// How long nothing must have come of a trace before it counts as at rest: longer than exporters wait.
const REST: Duration = Duration::from_secs(4);
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A span as it came, with the service that sent it.
#[derive(Debug, Clone)]
struct Came {
    service: String,
    span: Span,
}

/// A collector that keeps every span.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Came>>>);

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?;
    let any_value::Value::StringValue(text) = value.value.as_ref()? else { return None };
    Some(text.clone())
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, sent: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for part in sent.into_inner().resource_spans {
            let attributes = part.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = text(&attributes, "service.name").unwrap_or_default();
            let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| Came { service: service.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(&self, _: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Collector {
    /// Begins to listen, and says where.
    fn listen(&self) -> String {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = format!("http://{}", incoming.local_addr().unwrap());
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(serving);
        address
    }

    fn spans_of(&self, trace: &[u8]) -> Vec<Came> {
        self.0.lock().unwrap().iter().filter(|came| came.span.trace_id == trace).cloned().collect()
    }

    /// The trace of this recovery, once its first span is here; and how long that took.
    async fn anchor(&self, recovery: &str) -> (Vec<u8>, Duration) {
        let began = Instant::now();
        loop {
            let anchor = self.0.lock().unwrap().iter().find_map(|came| {
                let ours =
                    came.span.name == "recovery.requested" && text(&came.span.attributes, "saga.id").as_deref() == Some(recovery);
                ours.then(|| came.span.trace_id.clone())
            });
            if let Some(trace) = anchor {
                return (trace, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "no anchor of {recovery}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until nothing has come of the trace for a while.
    async fn at_rest(&self, trace: &[u8]) -> Vec<Came> {
        let (mut spans, mut since) = (self.spans_of(trace), Instant::now());
        let began = Instant::now();
        while since.elapsed() < REST {
            assert!(began.elapsed() < PATIENCE, "spans come on and on: {:?}", names(&spans));
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.spans_of(trace);
            if now.len() > spans.len() {
                (spans, since) = (now, Instant::now());
            }
        }
        spans
    }
}

/// How often each service sent a span of each name.
fn names(spans: &[Came]) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for came in spans {
        *names.entry(format!("{} {}", came.service, came.span.name)).or_default() += 1;
    }
    names
}

/// Spans whose parent was never exported: it is still open, or was lost.
fn orphans(spans: &[Came]) -> Vec<String> {
    let known: BTreeSet<&[u8]> = spans.iter().map(|came| came.span.span_id.as_slice()).collect();
    let lost = |came: &&Came| !came.span.parent_span_id.is_empty() && !known.contains(came.span.parent_span_id.as_slice());
    spans.iter().filter(lost).map(|came| format!("{} {}", came.service, came.span.name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_is_one_trace_through_every_service_a_wait_and_a_restart() {
    let _alone = crate::ONE_CLUSTER.lock().await;
    let folder = tempfile::Builder::new().prefix("homeward-trace-").tempdir().unwrap();
    crate::open_to_others(folder.path());
    let collector = Collector::default();
    let address = collector.listen();
    let mut cluster = Cluster::start(&Wishes {
        binary: Path::new(env!("CARGO_BIN_EXE_homeward")),
        folder: folder.path(),
        replicas: 1,
        simulator: "--accounts 100 --stranded 5 --lost-phones 5",
        traces: Some(&address),
        limits: toml::Table::new(),
        environment: &[],
        records: false,
    })
    .unwrap();
    cluster.ready().await.unwrap();
    let desk = cluster.desk().unwrap().insisting();
    let mut letters = Letters::watch(&cluster.letters()).unwrap();
    let simulated = cluster.simulated().unwrap();
    let email = simulated.accounts().await.unwrap().into_iter().map(|account| account.email).find(|e| e.starts_with("stranded."));
    let email = email.unwrap();

    let recovery = desk.request(&[&email]).await.unwrap().remove(0);
    let (trace, visible) = collector.anchor(&recovery).await;
    assert!(visible < VISIBLE, "the trace could be looked at {visible:?} after the answer");
    let waiting = collector.at_rest(&trace).await;
    assert_eq!(orphans(&waiting), Vec::<String>::new(), "spans stay open while the recovery waits: {:?}", names(&waiting));

    // What is open now is lost.
    for service in &mut cluster.services {
        service.kill().unwrap();
        service.start().unwrap();
    }
    cluster.ready().await.unwrap();
    desk.prove(std::slice::from_ref(&recovery)).await.unwrap();
    desk.vote(&[Ballot { recovery: recovery.clone(), approve: true }]).await.unwrap();
    got(&mut letters, "invitation").await;
    let browsers = Browsers::of(&simulated.provider).unwrap();
    assert_eq!(browsers.sign_in_and_enrol(&[email]).await.unwrap(), [true]);
    got(&mut letters, "closed").await;

    let spans = collector.at_rest(&trace).await;
    assert_eq!(orphans(&spans), Vec::<String>::new(), "{:?}", names(&spans));
    let roots: Vec<&Came> = spans.iter().filter(|came| came.span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.iter().map(|came| came.service.as_str()).collect::<Vec<_>>(), ["homeward-console"], "{:?}", names(&spans));
    let services: BTreeSet<&str> = spans.iter().map(|came| came.service.as_str()).collect();
    for service in ["console", "recovery", "directory", "policy", "notification"] {
        assert!(services.contains(format!("homeward-{service}").as_str()), "{service} is not in the trace: {:?}", names(&spans));
    }
    println!(
        "one trace: {} spans of {} services, 0 orphans; to be looked at {} ms after the answer",
        spans.len(),
        services.len(),
        visible.as_millis()
    );
}

/// Waits for a letter of this kind.
async fn got(letters: &mut Letters, kind: &str) {
    let began = Instant::now();
    while letters.recoveries(kind) == 0 {
        letters.arrived().unwrap();
        assert!(began.elapsed() < PATIENCE, "no letter of the kind {kind}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
