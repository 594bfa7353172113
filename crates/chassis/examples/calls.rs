//! How many unary calls a second pass over gRPC in memory and over TCP, with token, deadline and spans as in a process.
//!
//! `cargo run --release -p homeward-chassis --example calls`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::Context as _;
use homeward_chassis::auth::{Bearer, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Peer, Server};
use homeward_chassis::telemetry::{self, TelemetryConfig};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const CALLS: u32 = 40_000;

/// About the size of a lease.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(int64, repeated, tag = "2")]
    numbers: Vec<i64>,
}

#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "homeward.bench.v1.EchoService";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(ProstCodec::<Message, Message>::default()).unary(Back, request).await) })
    }
}

struct Back;

impl UnaryService<Message> for Back {
    type Response = Message;
    type Future = Ready<Result<Response<Message>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

async fn call(client: &Client) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(client.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let message = Message { text: "0192f0c1-2345-7abc-8def-0123456789ab".repeat(3), numbers: (0..16).collect() };
    let path = http::uri::PathAndQuery::from_static("/homeward.bench.v1.EchoService/Echo");
    grpc.unary(Request::new(message), path, ProstCodec::<Message, Message>::default()).await.map(drop)
}

/// Makes `CALLS` calls by `callers` at a time and prints the rate.
async fn measure(what: &str, client: &Client, callers: u32) -> anyhow::Result<()> {
    call(client).await?;
    let (started, used) = (Instant::now(), cpu_seconds()?);
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..CALLS / callers {
                    call(&client).await?;
                }
                Ok::<_, Status>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - used);
    let (rate, micros) = (f64::from(CALLS) / seconds, cpu / f64::from(CALLS) * 1e6);
    println!("{what:>7}, {callers:>2} at a time: {rate:>7.0} calls/s, {micros:>5.1} µs of CPU a call (both sides)");
    Ok(())
}

/// CPU seconds that this process has used, from `/proc/self/stat` in ticks of 10 ms.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("stat names the command in parentheses")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let guard = telemetry::init(&TelemetryConfig { log_filter: "warn".to_owned(), ..TelemetryConfig::default() }, "bench")?;
    let token = Bearer::generate()?;
    let server = Server::new(Arc::new(Persons::default().with_service("bench", &token)?), &[]).add(Echo);
    let (hub, stop) = (Hub::new(), CancellationToken::new());
    tokio::spawn(server.clone().serve_memory(hub.listen("bench"), stop.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(server.serve_tcp(listener, stop.clone()));

    let memory = hub.client("bench").bearing(&token);
    let tcp = Peer::plaintext(address).client()?.bearing(&token);
    for callers in [1, 8, 64] {
        measure("memory", &memory, callers).await?;
        measure("TCP", &tcp, callers).await?;
    }
    stop.cancel();
    guard.shutdown().await;
    Ok(())
}
