//! What a service stands on: its database, the broker, the clock, the callers, and the other services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use homeward_chassis::auth::Persons;
use homeward_chassis::rpc::Client;
use homeward_messaging::Broker;
use homeward_store::{Database, Options, StoreError};
use homeward_types::{Clock, Organisation, OrganisationId};

use super::{Peers, Role};
use crate::exit::Failure;
use crate::settings::{Settings, Storage};

/// What services stand on.
pub struct Ground {
    /// Where everything durable lies that is not in a database server.
    pub folder: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The organisations.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// Who may call.
    pub persons: Arc<Persons>,
    peers: Peers,
}

impl Ground {
    /// On this broker, with these peers.
    pub fn lay(settings: &Settings, peers: Peers, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let organisations = Arc::new(settings.organisations()?);
        let persons = persons(settings, &peers)?;
        Ok(Self { folder: settings.data_dir.clone(), clock, broker, organisations, persons, peers })
    }

    /// A folder below the data directory that only its owner may read.
    pub fn private(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(name);
        private_folder(&folder)?;
        Ok(folder)
    }

    /// A client with which `from` calls `to`.
    pub fn client(&self, from: Role, to: Role) -> Result<Client, Failure> {
        self.peers.client(from, to)
    }
}

/// Who may call: the persons of the settings, and the services of this process.
pub fn persons(settings: &Settings, peers: &Peers) -> Result<Arc<Persons>, Failure> {
    let persons = Persons::from_config(&settings.persons).and_then(|persons| peers.join(persons));
    let wrong = |error| Failure::Configuration(format!("persons: {}", homeward_chassis::error_chain(&error)));
    Ok(Arc::new(persons.map_err(wrong)?))
}

/// Only the owner may read what lies there: keys, letters with links that act, databases.
pub fn private_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    Ok(made.with_context(|| format!("making the data directory {}", folder.display()))?)
}

/// Opens the database of this name: a schema on the server, or an SQLite file in `folder`.
pub async fn database(storage: &Storage, folder: &Path, name: &str) -> Result<Database, StoreError> {
    let address = match &storage.database {
        None => format!("sqlite://{}", folder.join(format!("{name}.db")).display()),
        Some(url) => {
            let url = url.reveal();
            let separator = if url.contains('?') { '&' } else { '?' };
            format!("{url}{separator}schema={name}")
        }
    };
    let options = Options { application_name: format!("homeward {name}"), ..Options::default() };
    Database::open(&address, &options).await
}
