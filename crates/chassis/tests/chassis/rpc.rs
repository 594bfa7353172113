//! Refusals, health, reflection, sizes, restarts.

use std::time::Duration;

use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{MAX_MESSAGE, Peer, Refused};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::echo::{Echo, Say, call, memory_client, say, serve, server, service_token};

#[tokio::test]
async fn a_refusal_arrives_as_it_was_sent() {
    let (client, _guard) = memory_client();
    let refused = say(&client, "refuse").await.unwrap_err();
    let sent = Refused::precondition("LEASE_OPEN", "the account is out already", "wait until 14:00").with("lease", 7);
    assert_eq!(refused, sent);
    assert!(!refused.is_transient());
    assert_eq!(refused.to_string(), "the account is out already (LEASE_OPEN); wait until 14:00");
    insta::assert_json_snapshot!(refused, @r#"
    {
      "code": "FAILED_PRECONDITION",
      "reason": "LEASE_OPEN",
      "message": "the account is out already",
      "remedy": "wait until 14:00",
      "facts": {
        "lease": "7"
      }
    }
    "#);
}

#[tokio::test]
async fn a_refusal_that_says_too_much_arrives_cut() {
    let (client, _guard) = memory_client();
    let refused = say(&client, "ramble").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::InvalidArgument, "TOO_MUCH"));
    assert!(refused.message.starts_with("öö") && refused.message.ends_with("ö…"), "{refused}");
    assert!(refused.remedy.ends_with("x…"), "{refused}");
}

#[tokio::test]
async fn a_status_of_another_server_is_a_refusal_too() {
    let refused = Refused::from(tonic::Status::unavailable(""));
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::Unavailable, "UNAVAILABLE"));
    assert!(refused.is_transient() && !refused.remedy.is_empty() && !refused.message.is_empty());
}

#[tokio::test]
async fn a_panic_costs_its_own_call_alone() {
    let (client, _guard) = memory_client();
    let (panicked, fine) = tokio::join!(say(&client, "panic"), say(&client, "echo"));
    let panicked = panicked.unwrap_err();
    assert_eq!((panicked.code, panicked.reason.as_ref()), (Code::Internal, "INTERNAL"));
    assert!(!panicked.message.contains("head"), "the cause is not for callers: {panicked}");
    fine.unwrap();
    say(&client, "echo").await.unwrap();
}

#[tokio::test]
async fn a_message_of_sixteen_mebibytes_passes_and_a_larger_one_is_refused() {
    let (client, _guard) = memory_client();
    let large = |bytes| Request::new(Say { what: "echo".to_owned(), ballast: vec![7; bytes] });
    let answer = call(&client, large(MAX_MESSAGE - 1024)).await.unwrap();
    assert_eq!(answer.into_inner().ballast.len(), MAX_MESSAGE - 1024);
    let refused = call(&client, large(MAX_MESSAGE + 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    say(&client, "echo").await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_until_it_is() {
    let hub = Hub::new();
    let client = hub.client("echo").bearing(&service_token());
    let refused = say(&client, "echo").await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused}");
    let _guard = serve(&hub, "echo", server(Echo::default()));
    say(&client, "echo").await.unwrap();
}

#[tokio::test]
async fn a_client_finds_a_service_again_after_its_restart() {
    let hub = Hub::new();
    let client = hub.client("echo").bearing(&service_token());
    for _ in 0..3 {
        let guard = serve(&hub, "echo", server(Echo::default()));
        let mut answer = say(&client, "echo").await;
        // The first call after a restart may meet the old connection, and is refused as transient.
        if answer.as_ref().is_err_and(Refused::is_transient) {
            answer = say(&client, "echo").await;
        }
        answer.unwrap();
        drop(guard);
    }
}

#[tokio::test]
async fn health_and_reflection_answer_without_a_token() {
    let hub = Hub::new();
    let server = server(Echo::default());
    let reporter = server.health();
    let _guard = serve(&hub, "echo", server);
    let mut health = HealthClient::new(hub.channel("echo"));
    let status = async |health: &mut HealthClient<_>, service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.map(|answer| answer.into_inner().status())
    };
    for service in ["", "homeward.test.v1.EchoService"] {
        assert_eq!(status(&mut health, service).await.unwrap(), ServingStatus::Serving);
    }
    assert_eq!(status(&mut health, "nobody").await.unwrap_err().code(), Code::NotFound);
    reporter.set_not_serving::<Echo>().await;
    assert_eq!(status(&mut health, "homeward.test.v1.EchoService").await.unwrap(), ServingStatus::NotServing);

    let ask = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let mut answers = ServerReflectionClient::new(hub.channel("echo"))
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "grpc.health.v1.Health"), "{list:?}");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let (client, _guard) = memory_client();
    let mut grpc = tonic::client::Grpc::new(client);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/homeward.nobody.v1.NobodyService/Nothing");
    let codec = tonic_prost::ProstCodec::<Say, crate::echo::Said>::default();
    let refused = Refused::from(grpc.unary(Request::new(Say::new("echo")), path, codec).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::Unimplemented, "UNIMPLEMENTED"));
}

#[tokio::test]
async fn a_running_call_finishes_after_the_stop_and_new_connections_are_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let hub = Hub::new();
    let slow = Echo { next: Some(hub.client("later").bearing(&service_token())) };
    let serving = tokio::spawn(server(slow).serve_tcp(listener, stop.clone()));
    let client = Peer::plaintext(&address).client().unwrap().bearing(&service_token());
    say(&client, "echo").await.unwrap();

    // The relayed call reaches a pipe that nobody answers yet: it is running when the stop comes.
    let mut incoming = hub.listen("later");
    let running = tokio::spawn(async move { say(&client, "relay").await });
    let connection = incoming.next().await.unwrap().unwrap();
    stop.cancel();
    let refused = tokio::time::timeout(Duration::from_secs(10), refusal_at(&address)).await.unwrap();
    assert_eq!(refused.code, Code::Unavailable, "{refused}");
    assert!(!running.is_finished());
    let answering = tonic::transport::Server::builder().add_service(Bare);
    tokio::spawn(answering.serve_with_incoming(tokio_stream::once(Ok::<_, std::io::Error>(connection))));
    assert_eq!(running.await.unwrap().unwrap_err().code, Code::Aborted);
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
}

/// Calls until the listener is closed, which the stop brings about a moment later.
async fn refusal_at(address: &str) -> Refused {
    loop {
        let newcomer = Peer::plaintext(address).client().unwrap().bearing(&service_token());
        if let Err(refused) = say(&newcomer, "echo").await {
            return refused;
        }
        tokio::task::yield_now().await;
    }
}

/// Answers every call with ABORTED, without Homeward's server around it.
#[derive(Clone)]
struct Bare;

impl tonic::server::NamedService for Bare {
    const NAME: &'static str = "homeward.test.v1.EchoService";
}

impl tower::Service<http::Request<tonic::body::Body>> for Bare {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        std::future::ready(Ok(tonic::Status::aborted("later").into_http()))
    }
}
