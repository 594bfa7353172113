//! The console as a process of its own: pages, and one gRPC address for people, behind which are all services.

use homeward_chassis::error_chain;
use homeward_chassis::health::Health;
use homeward_chassis::rpc::{Access, Forward, Server};
use homeward_chassis::shutdown::Shutdown;
use homeward_proto::directory::v1::directory_service_server::DirectoryServiceServer;
use homeward_proto::notification::v1::notification_service_server::NotificationServiceServer;
use homeward_proto::patrol::v1::patrol_service_server::PatrolServiceServer;
use homeward_proto::policy::v1::policy_service_server::PolicyServiceServer;
use homeward_proto::recovery::v1::recovery_service_server::RecoveryServiceServer;
use tokio::net::TcpListener;

use super::start::shown;
use crate::compose::{self, Peers, Role};
use crate::exit::Failure;
use crate::settings::Settings;

/// Starts it; serving when this returns. It rests on nothing: a service that does not answer is told to whoever asks for it.
pub async fn start(settings: &Settings, grpc: TcpListener, health: &Health, shutdown: &Shutdown) -> Result<(), Failure> {
    let pages = super::bind(settings.listen.console).await;
    let pages = pages.map_err(|error| Failure::Fault(anyhow::Error::from(error).context("listen.console")))?;
    let identity = settings.services.identity()?;
    let tls = shown(settings, &identity);
    let peers = Peers::Far { identity, services: Box::new(settings.services.clone()) };
    let to = |role| peers.client(Role::Console, role);
    let server = Server::new(compose::persons(settings, &peers)?, homeward_proto::FDS)
        .allow(Access::persons_only())
        .follow(health.clone())
        .add(Forward::<DirectoryServiceServer<()>>::to(to(Role::Directory)?))
        .add(Forward::<PolicyServiceServer<()>>::to(to(Role::Policy)?))
        .add(Forward::<RecoveryServiceServer<()>>::to(to(Role::Recovery)?))
        .add(Forward::<NotificationServiceServer<()>>::to(to(Role::Notification)?))
        .add(Forward::<PatrolServiceServer<()>>::to(to(Role::Patrol)?))
        .tls(&tls)
        .map_err(|error| Failure::Configuration(format!("services: {}", error_chain(&error))))?;
    shutdown.spawn("grpc", server.serve_tcp(grpc, shutdown.token()));
    let (router, stop) = (crate::up::pages(settings, to(Role::Recovery)?), shutdown.token());
    shutdown.spawn("console", async move { axum::serve(pages, router).with_graceful_shutdown(stop.cancelled_owned()).await });
    shutdown.run("health", health.clone().watch(Vec::new(), shutdown.token()));
    Ok(())
}
