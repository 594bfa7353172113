//! Patrol: reads back every open and recently closed lease, from its own copy and with its own key, and says what it sees.
//!
//! Owns the tables `lease_copy`, `finding`, `patrol` and `patroller`. Serves `PatrolService`. Emits `incident-opened`.
//! Listens to policy's events. Asks policy to return an account only where Homeward lent it and the return is long overdue.
//!
//! It trusts nobody's word: what policy says only tells it where to look. In one process with policy it shares policy's fate.

mod copy;
mod finding;
mod keys;
mod others;
mod round;
mod service;
mod subscriber;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use homeward_chassis::rpc::Client;
use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::PATROL_LEASES;
use homeward_messaging::{Broker, Outbox, consume};
use homeward_proto::patrol::v1::patrol_service_server::PatrolServiceServer;
use homeward_provider::IdentityProvider;
use homeward_store::{Database, Migrations, migrations};
use homeward_types::{Clock, Organisation, OrganisationId};
use uuid::Uuid;

pub use copy::LeaseCopy;
pub use finding::{Kind as FindingKind, Shown, judge};
pub use service::PatrolRpc;

use keys::KeyWatch;
use others::Others;
use round::Rounds;
use subscriber::News;

/// The service's name, as messages have it.
pub const SERVICE: &str = "patrol";

/// The tables that the service owns.
const TABLES: Migrations = migrations!("patrol", ["0001_patrol", "0002_patroller"]);

/// What patrol is made from.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Database,
    /// Where policy's events come from, and incidents go.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tenants with their settings.
    pub organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    /// For each of them a provider with patrol's own key, the least that the provider offers.
    pub providers: BTreeMap<OrganisationId, Arc<dyn IdentityProvider>>,
    /// Policy, called with patrol's own token.
    pub policy: Client,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Patrol {
    db: Database,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    outbox: Outbox,
    organisations: Arc<BTreeMap<OrganisationId, Organisation>>,
    rounds: Arc<Rounds>,
}

impl Patrol {
    /// Every set of tables that the service's database needs.
    pub fn migrations() -> Vec<Migrations> {
        vec![homeward_messaging::MIGRATIONS, TABLES]
    }

    /// The service on a migrated database.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, broker, clock, organisations, providers, policy } = parts;
        let outbox = Outbox::new(db.clone(), broker.clone(), clock.clone(), SERVICE);
        let rounds = Arc::new(Rounds {
            db: db.clone(),
            outbox: outbox.clone(),
            clock: clock.clone(),
            organisations: organisations.clone(),
            providers,
            policy: Others::new(policy),
            process: Uuid::new_v4(),
            keys: KeyWatch::new(db.clone(), outbox.clone(), clock.clone()),
        });
        Self { db, broker, clock, outbox, organisations, rounds }
    }

    /// The gRPC service.
    pub fn rpc(&self) -> PatrolServiceServer<PatrolRpc> {
        homeward_chassis::sized!(PatrolServiceServer::new(PatrolRpc { db: self.db.clone() }))
    }

    /// Starts listening, and a patrol for each organisation.
    pub fn spawn(&self, shutdown: &Shutdown) {
        let (outbox, stop) = (self.outbox.clone(), shutdown.token());
        shutdown.run("patrol.outbox", async move { outbox.run(stop).await });
        let news = Arc::new(News { db: self.db.clone(), clock: self.clock.clone() });
        shutdown.run("patrol.leases", consume(self.broker.clone(), PATROL_LEASES, news, shutdown.token()));
        for organisation in self.organisations.keys() {
            let (rounds, id, stop) = (self.rounds.clone(), organisation.clone(), shutdown.token());
            shutdown.run("patrol.rounds", async move { rounds.run(&id, stop).await });
            let (rounds, id, stop) = (self.rounds.clone(), organisation.clone(), shutdown.token());
            shutdown.run("patrol.keys", async move { rounds.watch_keys(&id, stop).await });
        }
    }
}
