//! Homeward in this process, as `homeward up` composes it, on a folder that can be taken away, kept and put back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use homeward_chassis::auth::{Bearer, Persons};
use homeward_chassis::rpc::memory::Hub;
use homeward_chassis::rpc::{Client, Server};
use homeward_chassis::shutdown::Shutdown;
use homeward_directory::Directory;
use homeward_messaging::Broker;
use homeward_notification::Notification;
use homeward_patrol::Patrol;
use homeward_policy::Policy;
use homeward_provider::IdentityProvider;
use homeward_provider::atlassian::{AtlassianProvider, AtlassianSettings};
use homeward_recovery::Recovery;
use homeward_simulator::well_known::{self, key};
use homeward_store::{Database, Migrations, Options};
use homeward_types::{Clock, Organisation, OrganisationId};

/// The one name in the hub.
const HUB: &str = "homeward";

/// What a house is built on.
#[derive(Clone)]
pub struct Ground {
    pub folder: PathBuf,
    pub provider: String,
    pub organisation: Organisation,
    pub persons: Arc<Persons>,
    pub services: [Bearer; 2],
    pub broker: Arc<dyn Broker>,
    pub clock: Arc<dyn Clock>,
    pub hub: Hub,
}

/// All services, running.
pub struct House {
    shutdown: Shutdown,
    databases: Vec<Database>,
}

impl Ground {
    /// A client with this token.
    pub fn client(&self, token: &Bearer) -> Client {
        self.hub.client(HUB).bearing(token)
    }

    /// Where the letters lie.
    pub fn letters(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    async fn database(&self, service: &str, migrations: &[Migrations]) -> Database {
        let address = format!("sqlite://{}", self.folder.join(format!("{service}.db")).display());
        let database = Database::open(&address, &Options::default()).await.unwrap();
        database.migrate(migrations).await.unwrap();
        database
    }

    fn organisations(&self) -> Arc<BTreeMap<OrganisationId, Organisation>> {
        Arc::new(BTreeMap::from([(self.organisation.id.clone(), self.organisation.clone())]))
    }

    fn providers(&self, key: &str) -> BTreeMap<OrganisationId, Arc<dyn IdentityProvider>> {
        let limits = &self.organisation.limits;
        let settings = AtlassianSettings {
            base_url: self.provider.parse().unwrap(),
            admin_page_url: format!("{}/fake/admin/users/{{account_id}}", self.provider),
            timeout: limits.client_timeout,
            move_batch: limits.batch,
            placement_batch: limits.batch,
            ..AtlassianSettings::new(well_known::ORGANISATION, key.to_owned().into())
        };
        let provider: Arc<dyn IdentityProvider> = Arc::new(AtlassianProvider::new(settings, self.clock.clone()).unwrap());
        BTreeMap::from([(self.organisation.id.clone(), provider)])
    }

    fn service_folder(&self, service: &str) -> PathBuf {
        let folder = self.folder.join(service);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Moves in: makes and starts every service.
    pub async fn move_in(&self) -> House {
        let databases = [
            self.database("recovery", &Recovery::migrations()).await,
            self.database("directory", &Directory::migrations()).await,
            self.database("policy", &Policy::migrations()).await,
            self.database("notification", &Notification::migrations()).await,
            self.database("patrol", &Patrol::migrations()).await,
        ];
        let [recovery_db, directory_db, policy_db, notification_db, patrol_db] = databases.clone();
        let recovery = self.recovery(recovery_db).await;
        let directory = Directory::new(homeward_directory::Parts {
            db: directory_db,
            broker: self.broker.clone(),
            clock: self.clock.clone(),
            organisations: self.organisations(),
            providers: self.providers(key::UNSCOPED),
        });
        let directory = directory.await.unwrap();
        let policy = self.policy(policy_db, recovery.public_key().to_vec()).await;
        let config = homeward_notification::Config::default();
        let notification =
            Notification::new(notification_db, self.broker.clone(), self.clock.clone(), &config, &self.folder).await.unwrap();
        let patrol = Patrol::new(homeward_patrol::Parts {
            db: patrol_db,
            broker: self.broker.clone(),
            clock: self.clock.clone(),
            organisations: self.organisations(),
            providers: self.providers(key::READER),
            policy: self.client(&self.services[1]),
        });
        let shutdown = Shutdown::new();
        let server = Server::new(self.persons.clone(), homeward_proto::FDS)
            .add(directory.rpc())
            .add(policy.rpc())
            .add(recovery.rpc())
            .add(notification.rpc())
            .add(patrol.rpc());
        shutdown.spawn("grpc", server.serve_memory(self.hub.listen(HUB), shutdown.token()));
        directory.spawn(&shutdown);
        policy.spawn(&shutdown);
        recovery.spawn(&shutdown);
        notification.spawn(&shutdown);
        patrol.spawn(&shutdown);
        House { shutdown, databases: databases.to_vec() }
    }

    async fn recovery(&self, db: Database) -> Recovery {
        let folder = self.service_folder("recovery");
        let config = homeward_recovery::Config { repair: Duration::from_secs(1), ..homeward_recovery::Config::default() };
        let parts = homeward_recovery::Parts {
            db,
            broker: self.broker.clone(),
            clock: self.clock.clone(),
            organisations: self.organisations(),
            persons: self.persons.clone(),
            directory: self.client(&self.services[0]),
            policy: self.client(&self.services[0]),
            checkpoints: folder.join("audit.checkpoints"),
            grant_key: homeward_recovery::grant::GrantKey::load_or_create(&folder).unwrap(),
            key_folder: folder,
            config,
        };
        Recovery::new(parts).await.unwrap()
    }

    async fn policy(&self, db: Database, grant_key: Vec<u8>) -> Policy {
        let folder = self.service_folder("policy");
        let parts = homeward_policy::Parts {
            db,
            broker: self.broker.clone(),
            clock: self.clock.clone(),
            organisations: self.organisations(),
            providers: self.providers(key::UNSCOPED),
            grant_keys: vec![grant_key],
            opening_log: folder.join("leases.log"),
            checkpoints: folder.join("audit.checkpoints"),
            key_folder: folder,
        };
        Policy::new(parts).await.unwrap()
    }

    /// A copy of a service's database, as a backup holds it. Nobody may live in the house meanwhile.
    pub fn back_up(&self, service: &str) -> Backup {
        let name = format!("{service}.db");
        let files = [name.clone(), format!("{name}-wal"), format!("{name}-shm")];
        let kept = files.into_iter().map(|file| {
            let text = std::fs::read(self.folder.join(&file)).ok();
            (self.folder.join(file), text)
        });
        Backup(kept.collect())
    }
}

/// A service's database as it was.
pub struct Backup(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Backup {
    /// Puts it back in the place of what is there now.
    pub fn restore(&self) {
        for (path, text) in &self.0 {
            put(path, text.as_deref());
        }
    }
}

fn put(path: &Path, text: Option<&[u8]>) {
    match text {
        Some(text) => std::fs::write(path, text).unwrap(),
        None => drop(std::fs::remove_file(path)),
    }
}

impl House {
    /// Moves out: everything stops in good order.
    pub async fn move_out(self) {
        self.shutdown.begin("the scene is over");
        self.shutdown.finish(Duration::from_secs(20)).await.unwrap();
        for database in &self.databases {
            database.close().await;
        }
    }

    /// Drops everything where it stands.
    pub fn crash(&self) {
        self.shutdown.crash();
    }
}
