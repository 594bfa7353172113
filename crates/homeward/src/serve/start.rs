//! Starting a service that has tables: it waits for what it needs, and says meanwhile what that is.

use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::error_chain;
use homeward_chassis::health::Health;
use homeward_chassis::rpc::{Identity, Server, Tls};
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::Broker;
use homeward_provider::Duty;
use homeward_store::{Database, StoreError};
use homeward_types::{Clock, SystemClock};
use tokio::net::TcpListener;

use crate::check;
use crate::compose::{self, Ground, Peers, Role, Service};
use crate::exit::Failure;
use crate::probes;
use crate::settings::Settings;

/// How long to wait before asking again for what is not there yet.
const BREATH: Duration = Duration::from_millis(500);

/// Starts the service; serving when this returns.
pub async fn start(
    role: Role,
    settings: &Settings,
    grpc: TcpListener,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let identity = settings.services.identity()?;
    let tls = shown(settings, &identity);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let broker = broker(role, settings, health, clock.clone()).await?;
    let db = database(role, settings, health).await?;
    let watched = compose::database(&settings.storage, &settings.data_dir, role.name()).await;
    let peers = Peers::Far { identity, services: Box::new(settings.services.clone()) };
    let ground = Ground::lay(settings, peers, broker, clock)?;
    let Some(service) = made(role, settings, &ground, &db, health).await? else { return Ok(()) };
    let server = Server::new(ground.persons.clone(), homeward_proto::FDS).allow(compose::access::between_services());
    let server = service.add_to(server).follow(health.clone()).tls(&tls);
    let server = server.map_err(|error| Failure::Configuration(format!("services: {}", error_chain(&error))))?;
    service.spawn(shutdown);
    match role {
        Role::Policy => check::beside_the_start(settings, &[Duty::Recovery], shutdown),
        Role::Patrol => check::beside_the_start(settings, &[Duty::Patrol], shutdown),
        Role::Directory | Role::Recovery | Role::Notification | Role::Console => {}
    }
    shutdown.spawn("grpc", server.serve_tcp(grpc, shutdown.token()));
    let checks = probes::checks(vec![(role, watched.unwrap_or(db))], ground.broker.clone());
    shutdown.run("health", health.clone().watch(checks, shutdown.token()));
    Ok(())
}

/// The certificate that gRPC shows: one of its own where the settings have it, else the one that the process shows everywhere.
pub fn shown(settings: &Settings, identity: &Identity) -> Tls {
    match &settings.listen.grpc.tls {
        None => identity.for_server(),
        Some(tls) if tls.client_ca_file.is_some() => tls.clone(),
        Some(tls) => Tls { certificate_file: tls.certificate_file.clone(), key: tls.key.clone(), ..identity.for_server() },
    }
}

async fn broker(role: Role, settings: &Settings, health: &Health, clock: Arc<dyn Clock>) -> Result<Arc<dyn Broker>, Failure> {
    let Some(broker) = compose::broker(&settings.storage, role.full_name(), clock)? else {
        return Err(Failure::Configuration("storage.broker is missing".into()));
    };
    while let Err(error) = broker.connect().await {
        health.waits_for("broker", error_chain(&error));
        tokio::time::sleep(BREATH).await;
    }
    Ok(Arc::new(broker))
}

/// The service's database with all its tables.
async fn database(role: Role, settings: &Settings, health: &Health) -> Result<Database, Failure> {
    if settings.storage.database.is_none() {
        compose::private_folder(&settings.data_dir)?;
    }
    loop {
        let (check, reason) = match ready(role, settings).await {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(missing)) => ("migrations", missing),
            Err(error) if is_for_a_person(&error) => return Err(anyhow::Error::from(error).into()),
            Err(error) => ("database", error_chain(&error)),
        };
        health.waits_for(check, reason);
        tokio::time::sleep(BREATH).await;
    }
}

/// The service. A database that goes away while it is made is waited for again.
async fn made(
    role: Role,
    settings: &Settings,
    ground: &Ground,
    db: &Database,
    health: &Health,
) -> Result<Option<Service>, Failure> {
    loop {
        match Service::make(role, settings, ground, db.clone()).await {
            Err(Failure::Fault(error)) if homeward_store::is_infrastructure(error.as_ref()) => {
                health.waits_for("database", format!("{error:#}"));
                tokio::time::sleep(BREATH).await;
            }
            made => return made,
        }
    }
}

/// The database, or what is missing in it.
async fn ready(role: Role, settings: &Settings) -> Result<Result<Database, String>, StoreError> {
    let db = compose::database(&settings.storage, &settings.data_dir, role.name()).await?;
    let migrations = role.migrations();
    if settings.storage.migrate {
        db.migrate(&migrations).await?;
        return Ok(Ok(db));
    }
    let missing = db.missing_migrations(&migrations).await?;
    if missing.is_empty() {
        return Ok(Ok(db));
    }
    db.close().await;
    Ok(Err(probes::missing_steps(role, &missing)))
}

/// Waiting does not mend an address that makes no sense, nor tables that were changed by hand.
fn is_for_a_person(error: &StoreError) -> bool {
    matches!(error, StoreError::Address { .. } | StoreError::Migration { source: None, .. })
}
