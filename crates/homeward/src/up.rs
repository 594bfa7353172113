//! `homeward up`: all services in one process, durable under the data directory.

mod doors;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use homeward_chassis::health::Health;
use homeward_chassis::metrics::Page;
use homeward_chassis::rpc::{Client, Server};
use homeward_chassis::shutdown::Shutdown;
use homeward_chassis::{boundary, telemetry};
use homeward_console::Console;
use homeward_messaging::{Broker, MemoryBroker, topology};
use homeward_provider::Duty;
use homeward_store::Database;
use homeward_types::{Clock, SystemClock};

pub use doors::Doors;

use crate::check;
use crate::cli;
use crate::compose::{self, Ground, HUB, Peers, Role, Service};
use crate::exit::Failure;
use crate::probes;
use crate::settings::Settings;
use crate::stop::GRACE;

/// Homeward, running.
pub struct System {
    grpc: SocketAddr,
    console: SocketAddr,
    shutdown: Shutdown,
}

/// Runs until it is told to stop.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub async fn run(args: &cli::Settings) -> Result<(), Failure> {
    let settings = Settings::load(&args.config)?;
    settings.check()?;
    boundary::listen_if_asked().context("recording crash boundaries")?;
    let guard = telemetry::init(&settings.telemetry, "homeward").context("setting up telemetry")?;
    let doors = Doors::open(&settings.listen).await?;
    let system = System::start_with(&settings, doors, Some(guard.page()), Arc::new(SystemClock)).await?;
    system.shutdown.on_signals().context("listening for signals")?;
    check::beside_the_start(&settings, &[Duty::Recovery, Duty::Patrol], &system.shutdown);
    println!("homeward is up: gRPC on {}, console on http://{}", system.grpc, system.console);
    system.shutdown.cancelled().await;
    let ended = system.shutdown.finish(GRACE).await.context("stopping");
    crate::stop::telemetry(guard).await;
    Ok(ended?)
}

impl System {
    /// Starts every service behind `doors`. Ready to serve when this returns.
    #[cfg(feature = "demo")]
    pub async fn start(settings: &Settings, doors: Doors) -> Result<Self, Failure> {
        Self::start_with(settings, doors, None, Arc::new(SystemClock)).await
    }

    async fn start_with(
        settings: &Settings,
        doors: Doors,
        metrics: Option<Page>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let (grpc, console) = (doors.grpc_address()?, doors.console_address()?);
        let (shutdown, health) = (Shutdown::new(), Health::new());
        let hub = homeward_chassis::rpc::memory::Hub::new();
        let all = All::make(settings, Peers::near(hub.clone())?, clock).await?;
        let server = all.server().follow(health.clone());
        for service in &all.services {
            service.spawn(&shutdown);
        }
        shutdown.spawn("grpc in memory", server.clone().serve_memory(hub.listen(HUB), shutdown.token()));
        let server = match &doors.tls {
            Some(tls) => server.tls(tls).context("listen.grpc.tls")?,
            None => server,
        };
        shutdown.spawn("grpc", server.serve_tcp(doors.grpc, shutdown.token()));
        let pages = pages(settings, all.ground.client(Role::Console, Role::Recovery)?);
        let pages = pages.merge(probes::router(health.clone(), metrics));
        let stop = shutdown.token();
        shutdown.spawn("console", async move {
            axum::serve(doors.console, pages).with_graceful_shutdown(stop.cancelled_owned()).await
        });
        let checks = probes::checks(all.databases, all.ground.broker.clone());
        shutdown.run("health", health.watch(checks, shutdown.token()));
        Ok(Self { grpc, console, shutdown })
    }

    /// Where gRPC listens.
    #[cfg(feature = "demo")]
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where the console listens.
    #[cfg(feature = "demo")]
    pub fn console(&self) -> SocketAddr {
        self.console
    }

    /// Stops everything.
    #[cfg(feature = "demo")]
    pub async fn finish(&self) -> Result<(), Failure> {
        self.shutdown.begin("the demo is over");
        Ok(self.shutdown.finish(GRACE).await.context("stopping")?)
    }
}

/// Every service on its own database, brought up to date.
struct All {
    ground: Ground,
    services: Vec<Service>,
    databases: Vec<(Role, Database)>,
}

impl All {
    async fn make(settings: &Settings, peers: Peers, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        compose::private_folder(&settings.data_dir)?;
        let mut settings = settings.clone();
        // In one process policy need not be told whom to believe.
        settings.grants.accept(compose::grant_key(&settings)?.public_key());
        let broker = broker(&settings, clock.clone()).await?;
        let ground = Ground::lay(&settings, peers, broker, clock)?;
        let (mut services, mut databases) = (Vec::new(), Vec::new());
        for role in Role::WITH_TABLES {
            let db = database(&settings, role.name()).await?;
            db.migrate(&role.migrations()).await.with_context(|| format!("bringing {role}'s tables up to date"))?;
            databases.push((role, db.clone()));
            services.extend(Service::make(role, &settings, &ground, db).await?);
        }
        Ok(Self { ground, services, databases })
    }

    /// All of their gRPC behind one edge.
    fn server(&self) -> Server {
        let server = Server::new(self.ground.persons.clone(), homeward_proto::FDS).allow(compose::access::between_services());
        self.services.iter().fold(server, |server, service| service.add_to(server))
    }
}

async fn database(settings: &Settings, name: &str) -> Result<Database, Failure> {
    let opened = compose::database(&settings.storage, &settings.data_dir, name).await;
    Ok(opened.with_context(|| format!("opening {name}'s database"))?)
}

async fn broker(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Broker>, Failure> {
    match compose::broker(&settings.storage, "homeward", clock.clone())? {
        None => {
            let database = database(settings, "broker").await?;
            let broker = MemoryBroker::open(topology::QUEUES, database, clock).await.context("opening the in-process broker")?;
            Ok(Arc::new(broker))
        }
        Some(broker) => {
            broker.connect().await.context("reaching RabbitMQ")?;
            Ok(Arc::new(broker))
        }
    }
}

/// The console's pages.
pub fn pages(settings: &Settings, recovery: Client) -> axum::Router {
    let organisations = settings.organisations.iter().map(|organisation| organisation.id.to_string()).collect();
    Console::new(recovery, organisations, settings.public_url.scheme() == "https").router()
}
