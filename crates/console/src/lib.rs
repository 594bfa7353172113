//! The edge for people: plain pages of open recoveries with running exposure clocks, and the "this was not me" links.
//!
//! Owns nothing. Serves HTTP. Forwards the caller's token to recovery and never asserts an identity of its own;
//! a repudiation link is its own credential, so those two calls the console makes as the service that it is.

mod not_me;
mod page;
mod recoveries;
mod session;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use homeward_chassis::rpc::{Client, sized};
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;

/// The console: pages over recovery's gRPC.
#[derive(Clone)]
pub struct Console {
    recovery: Client,
    /// Organisations whose recoveries the first page lists, in order.
    organisations: Vec<String>,
    /// Whether browsers must send the session only over TLS.
    secure: bool,
}

impl Console {
    /// A console that asks `recovery`. With `secure`, the session travels over TLS only.
    pub fn new(recovery: Client, organisations: Vec<String>, secure: bool) -> Self {
        Self { recovery, organisations, secure }
    }

    /// Everything that the console serves.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(recoveries::open))
            .route("/recoveries/{recovery}", get(recoveries::one))
            .route("/sign-in", get(session::form).post(session::sign_in))
            .route("/sign-out", get(session::sign_out))
            .route("/not-me/{token}", get(not_me::show).post(not_me::act))
            .route("/console.css", get(page::style))
            .route("/console.js", get(page::script))
            .route("/healthz", get(|| async { "ok" }))
            .layer(from_fn(guard))
            .with_state(self)
    }

    fn client(&self) -> RecoveryServiceClient<Client> {
        sized!(RecoveryServiceClient::new(self.recovery.clone()))
    }
}

/// Headers that keep a page from being framed, sniffed, cached or made to load anything from elsewhere.
async fn guard(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let rules: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in rules {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
