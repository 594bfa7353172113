//! A gRPC service written by hand, so that these tests depend on no generated code, and how the tests run and call it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use homeward_chassis::auth::{Bearer, PersonConfig, Persons, authenticate};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, MAX_MESSAGE, Refused, Server};
use homeward_chassis::telemetry::TraceContext;
use http::uri::PathAndQuery;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

pub const SERVICE_TOKEN: &str = "service-token";
pub const MIA_TOKEN: &str = "mia-token";

/// What the service is asked to do.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Say {
    /// `echo`, `refuse`, `ramble`, `hang`, `panic` or `relay`.
    #[prost(string, tag = "1")]
    pub what: String,
    #[prost(bytes = "vec", tag = "2")]
    pub ballast: Vec<u8>,
}

/// What the service saw.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Said {
    #[prost(string, tag = "1")]
    pub caller: String,
    #[prost(string, tag = "2")]
    pub timeout: String,
    #[prost(string, tag = "3")]
    pub traceparent: String,
    #[prost(bytes = "vec", tag = "4")]
    pub ballast: Vec<u8>,
}

impl Say {
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), ballast: Vec::new() }
    }
}

/// The service. `relay` passes the call on to `next` as `echo`.
#[derive(Clone, Default)]
pub struct Echo {
    pub next: Option<Client>,
}

impl NamedService for Echo {
    const NAME: &'static str = "homeward.test.v1.EchoService";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = Grpc::new(ProstCodec::<Said, Say>::default()).max_decoding_message_size(MAX_MESSAGE);
        let handler = Handler(self.clone());
        Box::pin(async move { Ok(grpc.unary(handler, request).await) })
    }
}

struct Handler(Echo);

impl UnaryService<Say> for Handler {
    type Response = Said;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Said>, Status>> + Send>>;

    fn call(&mut self, request: Request<Say>) -> Self::Future {
        let next = self.0.next.clone();
        Box::pin(answer(next, request))
    }
}

async fn answer(next: Option<Client>, request: Request<Say>) -> Result<Response<Said>, Status> {
    let caller = authenticate(&request)?;
    match request.get_ref().what.as_str() {
        "refuse" => {
            Err(Refused::precondition("LEASE_OPEN", "the account is out already", "wait until 14:00").with("lease", 7).into())
        }
        "ramble" => Err(Refused::invalid("TOO_MUCH", "ö".repeat(50_000), "x".repeat(50_000)).into()),
        "hang" => std::future::pending().await,
        "panic" => panic!("the handler lost its head"),
        "relay" => call(&next.expect("relay needs a next service"), Request::new(Say::new("echo"))).await,
        _ => {
            let header = |name| request.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            Ok(Response::new(Said {
                caller: caller.person().id.to_string(),
                timeout: header("grpc-timeout"),
                traceparent: TraceContext::current().traceparent,
                ballast: request.get_ref().ballast.clone(),
            }))
        }
    }
}

/// Calls the service as a generated client would.
pub async fn call(client: &Client, request: Request<Say>) -> Result<Response<Said>, Status> {
    let mut grpc = tonic::client::Grpc::new(client.clone()).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/homeward.test.v1.EchoService/Say");
    grpc.unary(request, path, ProstCodec::<Say, Said>::default()).await
}

pub async fn say(client: &Client, what: &str) -> Result<Said, Refused> {
    call(client, Request::new(Say::new(what))).await.map(Response::into_inner).map_err(Refused::from)
}

pub fn service_token() -> Bearer {
    Bearer::new(SERVICE_TOKEN).unwrap()
}

/// Mia, a requester, and the service `recovery`.
pub fn persons() -> Arc<Persons> {
    let mia = PersonConfig {
        id: "mia".parse().unwrap(),
        name: "Mia".to_owned(),
        email: None,
        roles: [homeward_types::Role::Requester].into(),
        accounts: [].into(),
        tokens_sha256: vec![Bearer::new(MIA_TOKEN).unwrap().sha256()],
    };
    Arc::new(Persons::from_config(&[mia]).unwrap().with_service("recovery", &service_token()).unwrap())
}

pub fn server(echo: Echo) -> Server {
    Server::new(persons(), tonic_health::pb::FILE_DESCRIPTOR_SET).add(echo)
}

/// Serves at `name` of `hub` until the guard is dropped.
pub fn serve(hub: &Hub, name: &str, server: Server) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(server.serve_memory(hub.listen(name), stop.clone()));
    stop.drop_guard()
}

/// A client of `echo` in memory, in the name of the service `recovery`.
pub fn memory_client() -> (Client, DropGuard) {
    let hub = Hub::new();
    let guard = serve(&hub, "echo", server(Echo::default()));
    (hub.client("echo").bearing(&service_token()), guard)
}
