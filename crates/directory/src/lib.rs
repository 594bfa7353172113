//! Directory: the account replica, and evidence of enrolment. It never decides, never moves anyone, never touches a lease.
//!
//! Owns the tables `account`, `name_word`, `sweep`, `silence`, `watch`, `watcher` and `logged_factor`.
//! Serves `DirectoryService`. Emits `factor-absent`, `account-enrolled` and `account-changed`.
//! Listens to `directory.command.watch-account.v1` and `directory.command.unwatch-account.v1`.
//!
//! - `sync` reads the accounts through, over and over, and tells what changed.
//! - `find` answers what a person means by an id, an address or a name.
//! - `watch` looks closely at accounts in recovery, and says when rule 5 of the procedure is met.

mod account;
mod find;
mod service;
mod silence;
mod subscriber;
mod sync;
mod tenant;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::DIRECTORY_WATCH;
use homeward_messaging::{Broker, Outbox, consume};
use homeward_proto::directory::v1::directory_service_server::DirectoryServiceServer;
use homeward_provider::IdentityProvider;
use homeward_store::{Database, Migrations, StoreError, migrations};
use homeward_types::{Clock, Organisation, OrganisationId};
use tokio::sync::Notify;
use uuid::Uuid;

pub use service::DirectoryRpc;
pub use watch::{Asked, Report, Watch};

use find::allowance::Allowance;
use silence::Silence;
use subscriber::Commands;
use sync::Sweeps;
use tenant::Tenant;
use watch::claim::Claim;
use watch::log::Log;
use watch::round::Rounds;

/// The service's name, as messages have it.
pub const SERVICE: &str = "directory";

/// The tables that the service owns.
const TABLES: Migrations = migrations!("directory", ["0001_account", "0002_sweep", "0003_watch"]);

/// What directory is made from.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Database,
    /// Where commands come from, and events go.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tenants with their settings.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// For each of them a provider with directory's own key, which only reads.
    pub providers: BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>,
}

/// Why directory did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can be read of an organisation without a provider.
    #[error("the organisation {0} has no provider; configure one")]
    NoProvider(OrganisationId),
    /// The database.
    #[error("directory's database")]
    Store(#[from] StoreError),
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    db: Database,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    outbox: Outbox,
    silence: Silence,
    tenants: Arc<BTreeMap<OrganisationId, Arc<Tenant>>>,
}

impl Directory {
    /// Every set of tables that the service's database needs.
    pub fn migrations() -> Vec<Migrations> {
        vec![homeward_messaging::MIGRATIONS, TABLES]
    }

    /// The service on a migrated database.
    ///
    /// # Errors
    /// A [`StartError`].
    pub async fn new(parts: Parts) -> Result<Self, StartError> {
        let Parts { db, broker, clock, organisations, mut providers } = parts;
        let outbox = Outbox::new(db.clone(), broker.clone(), clock.clone(), SERVICE);
        let silence = Silence::load(db.clone(), clock.clone()).await?;
        let process = Uuid::new_v4();
        let mut tenants = BTreeMap::new();
        for (id, organisation) in organisations.iter() {
            let tenant = Tenant {
                organisation: organisation.clone(),
                provider: providers.remove(id).ok_or_else(|| StartError::NoProvider(id.clone()))?,
                db: db.clone(),
                outbox: outbox.clone(),
                clock: clock.clone(),
                silence: silence.clone(),
                process,
                watch: Notify::new(),
            };
            tenants.insert(id.clone(), Arc::new(tenant));
        }
        Ok(Self { db, broker, clock, outbox, silence, tenants: Arc::new(tenants) })
    }

    /// The gRPC service.
    pub fn rpc(&self) -> DirectoryServiceServer<DirectoryRpc> {
        let rpc = DirectoryRpc { tenants: self.tenants.clone(), allowance: Allowance::default() };
        homeward_chassis::sized!(DirectoryServiceServer::new(rpc))
    }

    /// Starts listening, and for each organisation sweeping and watching.
    pub fn spawn(&self, shutdown: &Shutdown) {
        let (outbox, stop) = (self.outbox.clone(), shutdown.token());
        shutdown.run("directory.outbox", async move { outbox.run(stop).await });
        let (silence, stop) = (self.silence.clone(), shutdown.token());
        shutdown.run("directory.silence", async move { silence.run(stop).await });
        let commands = Arc::new(Commands {
            db: self.db.clone(),
            outbox: self.outbox.clone(),
            clock: self.clock.clone(),
            tenants: self.tenants.clone(),
        });
        shutdown.run("directory.commands", consume(self.broker.clone(), DIRECTORY_WATCH, commands, shutdown.token()));
        for tenant in self.tenants.values() {
            let claim = Arc::new(Claim::new(tenant.clone()));
            let (sync, stop) = (Sweeps::new(tenant.clone()), shutdown.token());
            shutdown.run("directory.sync", async move { sync.run(stop).await });
            let (rounds, stop) = (Rounds::new(tenant.clone(), claim.clone()), shutdown.token());
            shutdown.run("directory.watch", async move { rounds.run(stop).await });
            let (log, stop) = (Log::new(tenant.clone(), claim), shutdown.token());
            shutdown.run("directory.log", async move { log.run(stop).await });
        }
    }
}
