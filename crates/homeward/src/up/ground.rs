//! What all services of the process stand on: databases below one folder, the broker, the clock, the callers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use homeward_chassis::auth::{Bearer, Persons};
use homeward_chassis::rpc::Client;
use homeward_chassis::rpc::memory::Hub;
use homeward_messaging::{Broker, MemoryBroker, RabbitBroker, topology};
use homeward_store::{Database, Migrations, Options};
use homeward_types::{Clock, Organisation, OrganisationId, SystemClock};

use crate::exit::Failure;
use crate::settings::Settings;

/// The one name in the hub: all services of the process answer there.
pub const HUB: &str = "homeward";

/// What all services stand on.
pub struct Ground {
    /// Where everything durable lies.
    pub folder: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The organisations.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// Who may call: the persons, and the services of this process.
    pub persons: Arc<Persons>,
    /// gRPC within the process.
    pub hub: Hub,
    database_url: Option<String>,
    recovery_token: Bearer,
    patrol_token: Bearer,
    console_token: Bearer,
}

impl Ground {
    /// Prepares the folder, the broker and the callers.
    pub async fn lay(settings: &Settings) -> Result<Self, Failure> {
        let folder = settings.data_dir.clone();
        private_folder(&folder)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let organisations = Arc::new(settings.organisations()?);
        let [recovery_token, patrol_token, console_token] = [token()?, token()?, token()?];
        let persons = Persons::from_config(&settings.persons)
            .and_then(|persons| persons.with_service("recovery", &recovery_token))
            .and_then(|persons| persons.with_service("patrol", &patrol_token))
            .and_then(|persons| persons.with_service("console", &console_token))
            .map_err(|error| Failure::Configuration(format!("persons: {}", homeward_chassis::error_chain(&error))))?;
        let database_url = settings.storage.database.as_ref().map(|secret| secret.reveal().to_owned());
        let broker = broker(settings, &folder, database_url.as_deref(), clock.clone()).await?;
        let (persons, hub) = (Arc::new(persons), Hub::new());
        Ok(Self { folder, clock, broker, organisations, persons, hub, database_url, recovery_token, patrol_token, console_token })
    }

    /// A service's own database, brought up to date.
    pub async fn database(&self, service: &str, migrations: &[Migrations]) -> Result<Database, Failure> {
        let database = open(&self.folder, self.database_url.as_deref(), service).await?;
        database.migrate(migrations).await.with_context(|| format!("bringing {service}'s tables up to date"))?;
        Ok(database)
    }

    /// A client that recovery calls the others with.
    pub fn recovery_client(&self) -> Client {
        self.hub.client(HUB).bearing(&self.recovery_token)
    }

    /// A client that patrol calls policy with.
    pub fn patrol_client(&self) -> Client {
        self.hub.client(HUB).bearing(&self.patrol_token)
    }

    /// A client that the console calls recovery with; people's own tokens take the place of this one.
    pub fn console_client(&self) -> Client {
        self.hub.client(HUB).bearing(&self.console_token)
    }
}

fn token() -> Result<Bearer, Failure> {
    Ok(Bearer::generate().context("making a token for a service")?)
}

/// Only the owner may read what lies there: keys, letters with links that act, databases.
pub fn private_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    Ok(made.with_context(|| format!("making the data directory {}", folder.display()))?)
}

async fn broker(
    settings: &Settings,
    folder: &Path,
    database_url: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, Failure> {
    match &settings.storage.broker {
        None => {
            let database = open(folder, database_url, "broker").await?;
            let broker = MemoryBroker::open(topology::QUEUES, database, clock).await.context("opening the in-process broker")?;
            Ok(Arc::new(broker))
        }
        Some(address) => {
            let broker = RabbitBroker::new(address.reveal(), topology::QUEUES, "homeward", clock).context("storage.broker")?;
            broker.connect().await.context("reaching RabbitMQ")?;
            Ok(Arc::new(broker))
        }
    }
}

async fn open(folder: &Path, database_url: Option<&str>, service: &str) -> Result<Database, Failure> {
    let address = match database_url {
        None => format!("sqlite://{}", folder.join(format!("{service}.db")).display()),
        Some(url) => {
            let separator = if url.contains('?') { '&' } else { '?' };
            format!("{url}{separator}schema={service}")
        }
    };
    let options = Options { application_name: format!("homeward {service}"), ..Options::default() };
    Ok(Database::open(&address, &options).await.with_context(|| format!("opening {service}'s database"))?)
}
