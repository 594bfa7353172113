use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use homeward_provider::{IdentityProvider, Priority};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::stub::{Reply, Stub, account};

/// Writes down every field of every span.
#[derive(Clone, Default)]
struct Fields(Arc<Mutex<Vec<(String, String)>>>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.lock().expect("not poisoned").push((field.name().to_owned(), format!("{value:?}")));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Fields {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if attributes.metadata().target().starts_with("homeward") {
            attributes.record(&mut self.clone());
        }
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut self.clone());
    }
}

#[tokio::test]
async fn a_call_is_a_client_span_that_names_the_template_and_nobody() {
    // While tracing knows of one subscriber only, a call site that another test's thread meets first is switched off for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let stub = Stub::start(|_| Reply::status(503)).await;
    let fields = Fields::default();
    let subscriber = tracing_subscriber::registry().with(fields.clone());
    let provider = stub.provider();
    let who = account("557058:mia");
    provider.list_tokens(&who, Priority::Return).with_subscriber(subscriber).await.expect_err("it is down");
    let fields = fields.0.lock().expect("not poisoned").clone();
    let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim_matches('"').to_owned());
    assert_eq!(value("otel.kind").as_deref(), Some("client"));
    assert_eq!(value("http.request.method").as_deref(), Some("GET"));
    assert_eq!(value("url.template").as_deref(), Some("/users/{account_id}/manage/api-tokens"));
    assert_eq!(value("server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(value("http.response.status_code").as_deref(), Some("503"));
    assert_eq!(value("error.type").as_deref(), Some("503"));
    assert_eq!(value("otel.status_code").as_deref(), Some("ERROR"));
    assert!(fields.iter().all(|(_, value)| !value.contains("mia")), "{fields:?}");
}
