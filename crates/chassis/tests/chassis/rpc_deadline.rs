//! How long a call may take, on both sides.

use std::time::{Duration, Instant};

use homeward_chassis::rpc::Refused;
use homeward_chassis::rpc::memory::Hub;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

use crate::echo::{Echo, Say, call, memory_client, say, serve, server, service_token};

fn assert_too_late(refused: &Refused) {
    assert_eq!((refused.code, refused.reason.as_ref()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{refused}");
    assert!(refused.is_transient() && refused.remedy.contains("repeating it is safe"), "{refused}");
}

#[tokio::test]
async fn the_server_gives_up_after_its_own_deadline_when_the_caller_names_none() {
    let hub = Hub::new();
    let _guard = serve(&hub, "echo", server(Echo::default()).deadline(Duration::from_millis(50)));
    // A client of another make: no deadline, no trace.
    let mut grpc = tonic::client::Grpc::new(hub.channel("echo"));
    grpc.ready().await.unwrap();
    let mut request = Request::new(Say::new("hang"));
    service_token().attach(&mut request);
    let path = http::uri::PathAndQuery::from_static("/homeward.test.v1.EchoService/Say");
    let codec = tonic_prost::ProstCodec::<Say, crate::echo::Said>::default();
    assert_too_late(&Refused::from(grpc.unary(request, path, codec).await.unwrap_err()));
}

#[tokio::test]
async fn a_caller_waits_as_long_as_it_says_and_no_longer() {
    let (client, _guard) = memory_client();
    let started = Instant::now();
    let mut request = Request::new(Say::new("hang"));
    request.set_timeout(Duration::from_millis(60));
    assert_too_late(&Refused::from(call(&client, request).await.unwrap_err()));
    assert_too_late(&say(&client.clone().deadline(Duration::from_millis(60)), "hang").await.unwrap_err());
    assert!(started.elapsed() >= Duration::from_millis(120), "gave up too early: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "gave up too late: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_never_answers_does_not_hold_its_caller() {
    let hub = Hub::new();
    let mut incoming = hub.listen("deaf");
    let client = hub.client("deaf").bearing(&service_token()).deadline(Duration::from_millis(60));
    let calling = tokio::spawn(async move { say(&client, "echo").await });
    let _connection_that_nobody_reads = incoming.next().await.unwrap().unwrap();
    assert_too_late(&calling.await.unwrap().unwrap_err());
}

#[tokio::test]
async fn the_deadline_travels_with_the_call() {
    let (client, _guard) = memory_client();
    assert_eq!(say(&client, "echo").await.unwrap().timeout, "10000m");
    assert_eq!(say(&client.deadline(Duration::from_secs(90)), "echo").await.unwrap().timeout, "90000m");
}

#[tokio::test]
async fn a_call_made_while_serving_another_gets_no_longer_than_that_one_has_left() {
    let hub = Hub::new();
    let _last = serve(&hub, "last", server(Echo::default()));
    let relay = Echo { next: Some(hub.client("last").bearing(&service_token())) };
    let _first = serve(&hub, "first", server(relay));
    let client = hub.client("first").bearing(&service_token()).deadline(Duration::from_secs(2));
    let seen = say(&client, "relay").await.unwrap().timeout;
    let milliseconds: u64 = seen.strip_suffix('m').unwrap().parse().unwrap();
    assert!((1..=2000).contains(&milliseconds), "{seen}");
}
