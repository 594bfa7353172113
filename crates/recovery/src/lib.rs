//! Cases: who may recover an account, who must approve it, and the saga that ends with the account at home.
//!
//! Owns the tables `recovery`, `recovery_personal`, `recovery_text`, `timeline`, `slot_counter`, `slot`, `incident` and
//! `containment`, besides those of saga, messaging and audit. Serves `RecoveryService`.
//! Emits commands to policy (lend, return, reset, clean, contain), to directory (watch, unwatch) and to notification (notices).
//! Listens to the events of policy, directory and notification. Asks directory for accounts and policy for fresh facts and leases.
//!
//! Recovery permits a lease by a signed grant; it can never move anyone.

pub mod case;
mod config;
pub mod containment;
pub mod domain;
pub mod grant;
pub mod incident;
pub mod others;
mod parts;
pub mod people;
mod repair;
pub mod repudiation;
pub mod saga;
mod service;
pub mod slot;
mod subscriber;
pub mod timeline;
pub mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use homeward_chassis::auth::Persons;
use homeward_chassis::rpc::Client;
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::RECOVERY_EVENTS;
use homeward_messaging::{Broker, Outbox, consume};
use homeward_proto::recovery::v1::recovery_service_server::RecoveryServiceServer;
use homeward_saga::{Coordinator, Registry};
use homeward_store::audit::{self, Chainer, CheckpointFile, Signer};
use homeward_store::{Database, Migrations, StoreError, migrations, transaction};
use homeward_types::{Clock, Organisation, OrganisationId};
use tokio::sync::{Notify, broadcast};

pub use config::Config;
pub use service::RecoveryRpc;

use domain::{Links, RecoveryDomain};
use grant::GrantKey;
use others::Others;
use parts::Shared;
use people::{People, PeopleError};
use repair::Repair;
use saga::RecoverySaga;
use subscriber::Events;

/// The service's name, as messages and the audit log have it.
pub const SERVICE: &str = "recovery";

/// The tables that the service owns.
const TABLES: Migrations = migrations!("recovery", ["0001_recovery", "0002_timeline", "0003_slot", "0004_incident"]);

/// Changes that a watcher may lag behind before it looks at everything.
const CHANGES: usize = 4_096;

/// What recovery is made from.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Database,
    /// Where its messages go, and events come from.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tenants with their settings.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// Who may call, and who is told.
    pub persons: Arc<Persons>,
    /// Directory, called with recovery's own token.
    pub directory: Client,
    /// Policy, called with recovery's own token.
    pub policy: Client,
    /// The key that signs grants; the same in every replica.
    pub grant_key: GrantKey,
    /// The folder for `audit.key`; must exist, and be readable by recovery alone.
    pub key_folder: PathBuf,
    /// The append-only file for the audit log's checkpoints; best on another disk.
    pub checkpoints: PathBuf,
    /// Settings.
    pub config: Config,
}

/// Why recovery did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings about persons.
    #[error("recovery's settings")]
    People(#[from] PeopleError),
    /// The settings.
    #[error("recovery's settings: {0}")]
    Config(String),
    /// The database, or the key for the audit log.
    #[error("recovery's database")]
    Store(#[from] StoreError),
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Recovery {
    shared: Arc<Shared>,
    chainer: Arc<Chainer>,
    config: Config,
}

impl Recovery {
    /// Every set of tables that the service's database needs.
    pub fn migrations() -> Vec<Migrations> {
        vec![homeward_messaging::MIGRATIONS, audit::MIGRATIONS, homeward_saga::MIGRATIONS, TABLES]
    }

    /// The service on a migrated database. Makes its audit key if there is none.
    ///
    /// # Errors
    /// A [`StartError`].
    pub async fn new(parts: Parts) -> Result<Self, StartError> {
        let Parts { db, broker, clock, organisations, persons, directory, policy, grant_key, key_folder, checkpoints, config } =
            parts;
        config.check().map_err(StartError::Config)?;
        let key = Arc::new(grant_key);
        let signer = Signer::load_or_create(&key_folder.join("audit.key"))?;
        let audit_key = signer.key().clone();
        let checkpoints = CheckpointFile::new(checkpoints);
        let chainer = Arc::new(Chainer::new(db.clone(), clock.clone(), SERVICE, signer, checkpoints.clone()));
        let people = Arc::new(People::new(persons, &config.approvers)?);
        let ids: Vec<&OrganisationId> = organisations.keys().collect();
        transaction!(db, "slot_counter.ensure", async |tx| -> Result<(), StoreError> { slot::store::ensure(tx, &ids).await })?;

        let (changed, _) = broadcast::channel(CHANGES);
        let waiting = Arc::new(Notify::new());
        let domain = RecoveryDomain {
            organisations: organisations.clone(),
            people: people.clone(),
            key: key.clone(),
            links: Links {
                public_url: config.public_url.trim_end_matches('/').to_owned(),
                sign_in_url: config.sign_in_url.clone(),
                sign_in_urls: config.sign_in_urls.clone(),
            },
            clock: clock.clone(),
            changed: changed.clone(),
            waiting: waiting.clone(),
        };
        let outbox = Outbox::new(db.clone(), broker.clone(), clock.clone(), SERVICE);
        let coordinator = Coordinator::new(db.clone(), outbox.clone(), clock.clone(), Registry::new(RecoverySaga::new()), domain);
        let shared = Arc::new(Shared {
            db,
            broker,
            outbox,
            clock,
            organisations,
            people,
            key,
            others: Others::new(directory, policy),
            coordinator,
            saga: RecoverySaga::new(),
            changed,
            waiting,
            audit_key,
            checkpoints,
            trace_link: config.trace_link.clone(),
        });
        Ok(Self { shared, chainer, config })
    }

    /// The public half of the key that signs grants (32 bytes), for policy.
    pub fn public_key(&self) -> &[u8] {
        self.shared.key.public_key()
    }

    /// The name of that key.
    pub fn kid(&self) -> &str {
        self.shared.key.kid()
    }

    /// The outbox, for metrics and for `homeward dead`.
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// The gRPC service.
    pub fn rpc(&self) -> RecoveryServiceServer<RecoveryRpc> {
        homeward_chassis::sized!(RecoveryServiceServer::new(RecoveryRpc(self.shared.clone())))
    }

    /// Starts the sagas, the outbox, the consumer, the audit chain and case repair.
    pub fn spawn(&self, shutdown: &Shutdown) {
        let stop = shutdown.token();
        shutdown.spawn("recovery.sagas", self.shared.coordinator.clone().run(stop.clone()));
        let (outbox, token) = (self.shared.outbox.clone(), stop.clone());
        shutdown.spawn("recovery.outbox", endless(async move { outbox.run(token).await }));
        let (broker, handler) = (self.shared.broker.clone(), Arc::new(Events::new(self.shared.clone())));
        shutdown.spawn("recovery.events", endless(consume(broker, RECOVERY_EVENTS, handler, stop.clone())));
        let (chainer, token) = (self.chainer.clone(), stop.clone());
        shutdown.spawn("recovery.audit", endless(async move { chainer.run(token).await }));
        let repair = Repair { shared: self.shared.clone(), every: self.config.repair };
        shutdown.spawn("recovery.repair", endless(repair.run(stop)));
    }
}

/// A loop that ends only when it is told to, and then well.
async fn endless(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}
