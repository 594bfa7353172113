//! A message's consumer span is a child of the message's own context.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use homeward_messaging::{HandleError, Handler, Received, Verdict, consume};
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use crate::broker::memory;
use crate::sending::{WORK, envelope, publish, soon};

#[derive(Default)]
struct Traces(Mutex<Vec<String>>);

#[async_trait]
impl Handler for Traces {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.0.lock().unwrap().extend(batch.iter().map(|received| received.trace().traceparent));
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

// On one thread, so that the subscriber of this test is nobody else's.
#[tokio::test]
async fn a_consumer_span_is_a_child_of_the_messages_context_and_the_parent_of_what_follows() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // While tracing knows of one subscriber only, a call site that another test's thread meets first is switched off for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let fresh = memory().await;
    let handler: Arc<Traces> = Arc::default();
    let stop = CancellationToken::new();
    let consuming = tokio::spawn(consume(Arc::clone(&fresh.broker), WORK, handler.clone(), stop.clone()));
    let batch: Vec<_> = (0..3).map(|number| envelope("test.command.a.v1", number)).collect();
    assert!(soon("confirms", publish(&fresh.broker, batch)).await.unwrap().iter().all(Result::is_ok));
    stop.cancel();
    soon("the loop's end", consuming).await.unwrap();

    let spans = exporter.get_finished_spans().unwrap();
    let spans: Vec<_> = spans.iter().filter(|span| span.name == "process test.work").collect();
    assert_eq!(spans.len(), 3);
    let mut expected = Vec::new();
    for span in spans {
        assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(span.span_kind, SpanKind::Consumer);
        expected.push(format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", span.span_context.span_id()));
    }
    let mut seen = handler.0.lock().unwrap().clone();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}
