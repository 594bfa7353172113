//! Policy: owns leases, and alone moves accounts.
//!
//! Owns the tables `lease`, `attempt`, `grant_used`, `organisation_state`, `incident`, `waiting_lend` and `quarantine`, besides
//! those of messaging and audit, and the append-only file `leases.log`. Serves `PolicyService`.
//! Emits `lease-opened`, `lease-lent`, `lease-returning`, `lease-settling`, `lease-closed`, `lease-adopted`, `lease-refused`,
//! `factor-reset`, `window-cleaned`, `account-contained` and `incident-opened`.
//! Listens to `policy.command.*`: lend, return, reset, clean, contain.
//!
//! - [`lease`]: what a lease is, and every decision about it; pure.
//! - [`ledger`]: where events meet leases, in one transaction for a batch.
//! - [`lend`]: from recovery's signed grant to an open lease.
//! - [`worker`]: the loops that send, read and keep time.
//!
//! A lease ends by itself at its due time, whether recovery runs or not. Nothing here knows of cases, proof or approvals.

pub mod bells;
pub mod care;
pub mod incident;
pub mod keys;
pub mod lease;
pub mod ledger;
pub mod lend;
pub mod meters;
pub mod opening_log;
pub mod organisation;
pub mod restored;
mod service;
pub mod site;
mod start;
pub mod subscriber;
pub mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::{POLICY_CARE, POLICY_LEND, POLICY_RETURN};
use homeward_messaging::{Broker, Outbox, consume};
use homeward_proto::policy::v1::policy_service_server::PolicyServiceServer;
use homeward_provider::IdentityProvider;
use homeward_store::audit::{self, Chainer, CheckpointFile, Signer};
use homeward_store::{Database, Migrations, StoreError, migrations};
use homeward_types::{Clock, Organisation, OrganisationId};

pub use service::PolicyRpc;

use care::Care;
use ledger::Ledger;
use lend::grant::GrantKeys;
use lend::intake::Intake;
use opening_log::{LogError, OpeningLog};
use site::Sites;
use subscriber::{CareHandler, LendHandler, ReturnHandler};

/// The service's name, as messages and the audit log have it.
pub const SERVICE: &str = "policy";

/// The tables that the service owns, besides those of messaging and the audit log.
pub const TABLES: Migrations = migrations!("policy", ["0001_lease", "0002_judged", "0003_restored", "0004_census"]);

/// What policy is made from.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Database,
    /// Where commands come from, and events go.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tenants with their settings.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// For each of them a provider with policy's own key: the only one that may write.
    pub providers: BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>,
    /// Recovery's public keys (32 bytes each): the present one, and earlier ones whose grants may still be on their way.
    pub grant_keys: Vec<Vec<u8>>,
    /// The append-only file of openings and ends (`leases.log`); best on another disk than the database.
    pub opening_log: PathBuf,
    /// The folder for `audit.key`; must exist, and be readable by policy alone.
    pub key_folder: PathBuf,
    /// The append-only file for the audit log's checkpoints; best on another disk.
    pub checkpoints: PathBuf,
}

/// Why policy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody can be brought home without a provider.
    #[error("the organisation {0} has no provider; configure one")]
    NoProvider(OrganisationId),
    /// The file outside the database.
    #[error("policy's file of openings")]
    Log(#[from] LogError),
    /// The database, or the key for the audit log.
    #[error("policy's database")]
    Store(#[from] StoreError),
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    broker: Arc<dyn Broker>,
    ledger: Ledger,
    sites: Arc<Sites>,
    intake: Intake,
    chainer: Arc<Chainer>,
    lost: Arc<Vec<opening_log::Line>>,
}

impl Policy {
    /// Every set of tables that the service's database needs.
    pub fn migrations() -> Vec<Migrations> {
        vec![homeward_messaging::MIGRATIONS, audit::MIGRATIONS, TABLES]
    }

    /// The service on a migrated database. Makes its audit key if there is none, and adds to the file of openings what a crash left out.
    ///
    /// # Errors
    /// A [`StartError`].
    pub async fn new(parts: Parts) -> Result<Self, StartError> {
        let Parts { db, broker, clock, organisations, providers, grant_keys, opening_log, key_folder, checkpoints } = parts;
        let signer = Signer::load_or_create(&key_folder.join("audit.key"))?;
        let chainer = Chainer::new(db.clone(), clock.clone(), SERVICE, signer, CheckpointFile::new(checkpoints));
        let log = OpeningLog::open(&opening_log)?;
        let outbox = Outbox::new(db.clone(), broker.clone(), clock.clone(), SERVICE);
        let ledger = Ledger::new(db, outbox, clock, organisations, log);
        start::prepare(&ledger).await?;
        let lost = Arc::new(restored::lost::look(&ledger).await?);
        let sites = Arc::new(start::sites(&ledger, providers).await?);
        let mut keys = GrantKeys::new();
        for key in &grant_keys {
            keys.add(key);
        }
        let intake = Intake::new(ledger.clone(), sites.clone(), Arc::new(keys));
        Ok(Self { broker, ledger, sites, intake, chainer: Arc::new(chainer), lost })
    }

    /// The outbox, for metrics and for `homeward dead`.
    pub fn outbox(&self) -> &Outbox {
        self.ledger.outbox()
    }

    /// The gRPC service.
    pub fn rpc(&self) -> PolicyServiceServer<PolicyRpc> {
        homeward_chassis::sized!(PolicyServiceServer::new(PolicyRpc::new(self.ledger.clone(), self.sites.clone())))
    }

    /// Starts listening, the keeper of time, and for each organisation the loops that send, read and count.
    pub fn spawn(&self, shutdown: &Shutdown) {
        let (outbox, stop) = (self.outbox().clone(), shutdown.token());
        shutdown.run("policy.outbox", async move { outbox.run(stop).await });
        let (chainer, stop) = (self.chainer.clone(), shutdown.token());
        shutdown.run("policy.audit", async move { chainer.run(stop).await });
        if self.lost.is_empty() {
            self.listen(shutdown);
        } else {
            // A command about a lost lease would find no row, and leave a tombstone in its place.
            let (policy, later, stop) = (self.clone(), shutdown.clone(), shutdown.token());
            shutdown.run("policy.lost", async move {
                restored::lost::bring_back(&policy.ledger, &policy.sites, &policy.lost, &stop).await;
                policy.listen(&later);
            });
        }
        shutdown.run("policy.keeper", worker::keep_time(self.ledger.clone(), self.sites.clone(), shutdown.token()));
        for site in self.sites.values() {
            shutdown.run("policy.returns", worker::send_returns(site.clone(), shutdown.token()));
            shutdown.run("policy.lends", worker::send_lends(site.clone(), shutdown.token()));
            shutdown.run("policy.reader", worker::read_accounts(site.clone(), shutdown.token()));
            shutdown.run("policy.count", worker::count_accounts(site.clone(), shutdown.token()));
            shutdown.run("policy.census", restored::census::take(site.clone(), shutdown.token()));
            shutdown.run("policy.keys", keys::watch(site.clone(), shutdown.token()));
            if site.organisation().limits.contain_overdue {
                shutdown.run("policy.contain", worker::contain_overdue(site.clone(), shutdown.token()));
            }
            shutdown.run("policy.waiting", worker::try_waiting_lends(site.clone(), self.intake.clone(), shutdown.token()));
        }
    }

    fn listen(&self, shutdown: &Shutdown) {
        let lends = Arc::new(LendHandler::new(self.ledger.clone(), self.intake.clone()));
        shutdown.run("policy.lend", consume(self.broker.clone(), POLICY_LEND, lends, shutdown.token()));
        let returns = Arc::new(ReturnHandler::new(self.ledger.clone()));
        shutdown.run("policy.return", consume(self.broker.clone(), POLICY_RETURN, returns, shutdown.token()));
        let care = Arc::new(CareHandler::new(self.ledger.clone(), Care::new(self.ledger.clone(), self.sites.clone())));
        shutdown.run("policy.care", consume(self.broker.clone(), POLICY_CARE, care, shutdown.token()));
    }
}
