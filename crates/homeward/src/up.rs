//! `homeward up`: all services in one process, durable under the data directory.

mod doors;
mod ground;
mod services;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use homeward_chassis::metrics::Page;
use homeward_chassis::shutdown::Shutdown;
use homeward_chassis::{boundary, telemetry};
use homeward_console::Console;

pub use doors::Doors;
use ground::{Ground, HUB};
use services::Services;

use crate::cli;
use crate::exit::Failure;
use crate::settings::Settings;

/// How long everything may take to stop.
const GRACE: Duration = Duration::from_secs(10);

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
    let system = System::start_with(&settings, doors, Some(guard.page())).await?;
    system.shutdown.on_signals().context("listening for signals")?;
    println!("homeward is up: gRPC on {}, console on http://{}", system.grpc, system.console);
    system.shutdown.cancelled().await;
    let ended = system.shutdown.finish(GRACE).await.context("stopping");
    guard.shutdown().await;
    Ok(ended?)
}

impl System {
    /// Starts every service behind `doors`. Ready to serve when this returns.
    pub async fn start(settings: &Settings, doors: Doors) -> Result<Self, Failure> {
        Self::start_with(settings, doors, None).await
    }

    async fn start_with(settings: &Settings, doors: Doors, metrics: Option<Page>) -> Result<Self, Failure> {
        let (grpc, console) = (doors.grpc_address()?, doors.console_address()?);
        let shutdown = Shutdown::new();
        let ground = Ground::lay(settings).await?;
        let services = Services::make(settings, &ground).await?;
        let server = services.server(&ground);
        services.spawn(&shutdown);
        let memory = ground.hub.listen(HUB);
        shutdown.spawn("grpc in memory", server.clone().serve_memory(memory, shutdown.token()));
        let server = match &doors.tls {
            Some(tls) => server.tls(tls).context("listen.grpc.tls")?,
            None => server,
        };
        shutdown.spawn("grpc", server.serve_tcp(doors.grpc, shutdown.token()));
        let pages = pages(settings, &ground, metrics);
        let stop = shutdown.token();
        shutdown.spawn("console", async move {
            axum::serve(doors.console, pages).with_graceful_shutdown(stop.cancelled_owned()).await
        });
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

fn pages(settings: &Settings, ground: &Ground, metrics: Option<Page>) -> axum::Router {
    let organisations = ground.organisations.keys().map(ToString::to_string).collect();
    let console = Console::new(ground.console_client(), organisations, settings.public_url.scheme() == "https").router();
    match metrics {
        None => console,
        Some(page) => console.route("/metrics", axum::routing::get(move || std::future::ready(render(&page)))),
    }
}

/// A header and the metrics, or what to answer instead.
type Rendered = Result<([(&'static str, &'static str); 1], String), axum::http::StatusCode>;

fn render(page: &Page) -> Rendered {
    let text = page.render().map_err(|error| {
        tracing::error!(%error, "the metrics page could not be made");
        axum::http::StatusCode::INTERNAL_SERVER_ERROR
    })?;
    Ok(([("content-type", Page::CONTENT_TYPE)], text))
}
