//! `homeward serve ROLE`: one service as a process of its own, on a database server and RabbitMQ, among others of its kind.

mod console;
mod start;

use std::net::SocketAddr;

use anyhow::Context;
use homeward_chassis::health::Health;
use homeward_chassis::metrics::Page;
use homeward_chassis::rpc::{Listen, PeerError};
use homeward_chassis::shutdown::Shutdown;
use homeward_chassis::{boundary, telemetry};
use tokio::net::TcpListener;

use crate::cli;
use crate::compose::Role;
use crate::exit::Failure;
use crate::probes;
use crate::settings::Settings;
use crate::stop::GRACE;

/// Runs until it is told to stop.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub async fn run(args: &cli::Serve) -> Result<(), Failure> {
    let role = args.role;
    let settings = Settings::load_for(role, &args.settings.config)?;
    settings.check_for(role)?;
    boundary::listen_if_asked().context("recording crash boundaries")?;
    let guard = telemetry::init(&settings.telemetry, role.full_name()).context("setting up telemetry")?;
    let (shutdown, health) = (Shutdown::new(), Health::new());
    shutdown.on_signals().context("listening for signals")?;
    let grpc = settings.listen.grpc.bind().await.context("listen.grpc")?;
    let where_grpc = grpc.local_addr().context("the address of gRPC")?;
    let (probes, where_probes) = probe(settings.listen.probes, health.clone(), guard.page()).await?;
    let started = tokio::select! {
        started = start(role, &settings, grpc, &health, &shutdown) => started.map(|()| true),
        () = shutdown.cancelled() => Ok(false),
    };
    match &started {
        Ok(true) => println!("homeward {role} is up: gRPC on {where_grpc}, probes on http://{where_probes}"),
        Ok(false) => {}
        Err(_) => shutdown.begin("it could not start"),
    }
    let ended = shutdown.finish(GRACE).await.context("stopping");
    probes.abort();
    crate::stop::telemetry(guard).await;
    started?;
    Ok(ended?)
}

async fn start(role: Role, settings: &Settings, grpc: TcpListener, health: &Health, shutdown: &Shutdown) -> Result<(), Failure> {
    match role {
        Role::Console => console::start(settings, grpc, health, shutdown).await,
        Role::Directory | Role::Policy | Role::Recovery | Role::Notification | Role::Patrol => {
            start::start(role, settings, grpc, health, shutdown).await
        }
    }
}

/// Answers probes from the first moment to the last: what the process waits for is what somebody wants to know then.
async fn probe(
    address: SocketAddr,
    health: Health,
    metrics: Page,
) -> Result<(tokio::task::JoinHandle<std::io::Result<()>>, SocketAddr), Failure> {
    let listener = bind(address).await.context("listen.probes")?;
    let bound = listener.local_addr().context("the address of the probes")?;
    let pages = probes::router(health, Some(metrics));
    Ok((tokio::spawn(async move { axum::serve(listener, pages).await }), bound))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, PeerError> {
    Listen { address, tls: None }.bind().await
}
