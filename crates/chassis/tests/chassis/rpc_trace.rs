//! A call lies in its caller's trace, over memory and over TCP.

use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Peer};
use homeward_chassis::telemetry::TraceContext;
use homeward_chassis::telemetry::testing::{Recorded, record};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::echo::{Echo, say, serve, server, service_token};

const METHOD: &str = "homeward.test.v1.EchoService/Say";

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == name).map(|pair| pair.value.to_string())
}

/// Runs one call within a span of its own and gives its trace, complete.
async fn traced_call(recorded: &Recorded, client: &Client, what: &str, spans: usize) -> (TraceContext, Vec<SpanData>) {
    let root = tracing::info_span!(target: "homeward::test", "test.root");
    let context = TraceContext::of(&root);
    let _ = say(client, what).instrument(root).await;
    // The server's span may end just after the answer has arrived.
    for _ in 0..2000 {
        if recorded.trace(&context).len() >= spans {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let trace = recorded.trace(&context);
    assert_eq!(trace.len(), spans, "{trace:#?}");
    assert_eq!(recorded.orphans(&context), Vec::<String>::new());
    (context, trace)
}

fn check_chain(trace: &[SpanData]) {
    let [root, client, server] = trace else { panic!("{trace:#?}") };
    assert_eq!((root.name.as_ref(), root.parent_span_id), ("test.root", SpanId::INVALID));
    assert_eq!((client.name.as_ref(), client.span_kind.clone()), (METHOD, SpanKind::Client));
    assert_eq!(client.parent_span_id, root.span_context.span_id());
    assert_eq!((server.name.as_ref(), server.span_kind.clone()), (METHOD, SpanKind::Server));
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert!(server.parent_span_is_remote);
    for span in [client, server] {
        assert_eq!(attribute(span, "rpc.system.name").as_deref(), Some("grpc"));
        assert_eq!(attribute(span, "rpc.method").as_deref(), Some(METHOD));
        assert_eq!(attribute(span, "rpc.response.status_code").as_deref(), Some("OK"));
        assert_eq!((&span.status, attribute(span, "error.type")), (&Status::Unset, None));
    }
}

#[tokio::test]
async fn a_call_in_memory_lies_in_its_callers_trace() {
    let recorded = record();
    let hub = Hub::new();
    let _guard = serve(&hub, "echo", server(Echo::default()));
    let client = hub.client("echo").bearing(&service_token());
    let (_, trace) = traced_call(&recorded, &client, "echo", 3).await;
    check_chain(&trace);
    assert_eq!(attribute(&trace[1], "server.address").as_deref(), Some("echo"));
}

#[tokio::test]
async fn a_call_over_tcp_lies_in_its_callers_trace() {
    let recorded = record();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(server(Echo::default()).serve_tcp(listener, stop.clone()));
    let _guard = stop.drop_guard();
    let client = Peer::plaintext(address).client().unwrap().bearing(&service_token());
    let (_, trace) = traced_call(&recorded, &client, "echo", 3).await;
    check_chain(&trace);
    assert_eq!(attribute(&trace[1], "server.address").as_deref(), Some("127.0.0.1"));
    assert!(attribute(&trace[1], "server.port").is_some());
}

#[tokio::test]
async fn a_handler_stands_in_the_server_span_and_its_own_calls_go_on_from_there() {
    let recorded = record();
    let hub = Hub::new();
    let _last = serve(&hub, "last", server(Echo::default()));
    let relay = Echo { next: Some(hub.client("last").bearing(&service_token())) };
    let _first = serve(&hub, "first", server(relay));
    let client = hub.client("first").bearing(&service_token());
    let (context, trace) = traced_call(&recorded, &client, "relay", 5).await;
    for (parent, child) in trace.iter().zip(&trace[1..]) {
        assert_eq!(child.parent_span_id, parent.span_context.span_id(), "{trace:#?}");
    }
    let said = say(&client, "echo").instrument(tracing::info_span!(target: "homeward::test", "other")).await.unwrap();
    let seen = TraceContext { traceparent: said.traceparent, ..TraceContext::default() };
    assert!(seen.trace_id().is_some() && seen.trace_id() != context.trace_id(), "{seen:?}");
}

#[tokio::test]
async fn a_refusal_is_an_error_for_the_caller_and_a_fault_of_ours_for_both() {
    let recorded = record();
    let hub = Hub::new();
    let _guard = serve(&hub, "echo", server(Echo::default()));
    let client = hub.client("echo").bearing(&service_token());
    let (_, trace) = traced_call(&recorded, &client, "refuse", 3).await;
    assert_eq!(trace[1].status, Status::error(""));
    assert_eq!(attribute(&trace[1], "error.type").as_deref(), Some("FAILED_PRECONDITION"));
    assert_eq!(trace[2].status, Status::Unset);
    assert_eq!(attribute(&trace[2], "rpc.response.status_code").as_deref(), Some("FAILED_PRECONDITION"));
    let (_, trace) = traced_call(&recorded, &client, "panic", 3).await;
    assert_eq!((&trace[1].status, &trace[2].status), (&Status::error(""), &Status::error("")));
}

#[tokio::test]
async fn a_fault_of_ours_tells_its_caller_the_trace_to_ask_for() {
    record();
    let hub = Hub::new();
    let _guard = serve(&hub, "echo", server(Echo::default()));
    let root = tracing::info_span!(target: "homeward::test", "test.root");
    let context = TraceContext::of(&root);
    let refused = say(&hub.client("echo").bearing(&service_token()), "panic").instrument(root).await.unwrap_err();
    assert_eq!(refused.facts.get("trace_id").map(String::as_str), context.trace_id());
}

#[test]
fn a_context_that_was_stored_is_taken_up_and_linked() {
    let recorded = record();
    let stored = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: "vendor=1".to_owned(),
    };
    let text = serde_json::to_string(&stored).unwrap();
    let stored: TraceContext = serde_json::from_str(&text).unwrap();
    let span = tracing::info_span!(target: "homeward::test", "days.later");
    stored.adopt(&span);
    let continued = TraceContext::of(&span);
    assert_eq!(continued.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(continued.tracestate, "vendor=1");
    assert_ne!(continued.traceparent, stored.traceparent);
    span.in_scope(|| assert_eq!(TraceContext::current(), continued));
    drop(span);

    let batch = tracing::info_span!(target: "homeward::test", "batch");
    stored.link(&batch);
    let own = TraceContext::of(&batch);
    assert_ne!(own.trace_id(), stored.trace_id());
    drop(batch);
    let batch = recorded.trace(&own).pop().unwrap();
    assert_eq!(batch.links.links[0].span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    let taken_up = recorded.trace(&stored).pop().unwrap();
    assert_eq!(taken_up.parent_span_id.to_string(), "b7ad6b7169203331");
}

#[test]
fn a_context_that_is_none_changes_nothing() {
    record();
    assert!(TraceContext::current().is_none());
    assert_eq!(TraceContext::default().trace_id(), None);
    let span = tracing::info_span!(target: "homeward::test", "alone");
    TraceContext::default().adopt(&span);
    TraceContext::default().link(&span);
    assert!(!TraceContext::of(&span).is_none());
    for broken in ["", "00-xyz", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        let mut headers = http::HeaderMap::new();
        headers.insert("traceparent", http::HeaderValue::from_static(broken));
        assert!(TraceContext::from_headers(&headers).is_none(), "{broken:?}");
    }
    let disabled = tracing::trace_span!(target: "homeward::test", "too.fine");
    assert!(TraceContext::of(&disabled).is_none());
}
