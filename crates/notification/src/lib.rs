//! Tells people: owner, requester, approvers, operators.
//!
//! Owns the table `delivery`. Serves `NotificationService`. Emits `notice-accepted` and `notice-failed`.
//! Listens to `notification.command.send-notice.v1`.
//!
//! A notice is known by its delivery key. It is sent by one worker at a time under a claim, and its Message-ID is the delivery key:
//! a mail can repeat only if the process died between the server's acceptance and our commit.
//! Once it is accepted its text and address are emptied from the database.

mod config;
mod delivery;
mod letter;
mod sender;
mod service;
mod subscriber;
mod term;
mod transport;
mod wire;

use std::sync::Arc;

use homeward_chassis::shutdown::Shutdown;
use homeward_messaging::topology::NOTIFICATION_NOTICES;
use homeward_messaging::{Broker, Outbox, consume};
use homeward_proto::notification::v1::notification_service_server::NotificationServiceServer;
use homeward_store::{Database, Migrations, migrations};
use homeward_types::Clock;

pub use config::{Config, Smtp, Transport};
pub use service::Notifications;
pub use transport::TransportError;

use sender::Sender;
use subscriber::Subscriber;

/// The tables that the service owns, besides those of messaging.
const TABLES: Migrations = migrations!("notification", ["0001_delivery"]);

/// The service.
#[derive(Clone)]
pub struct Notification {
    db: Database,
    broker: Arc<dyn Broker>,
    outbox: Outbox,
    sender: Arc<Sender>,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Notices cannot be sent as configured.
    #[error("notification")]
    Transport(#[from] TransportError),
}

impl Notification {
    /// Every set of tables that the service's database needs.
    pub fn migrations() -> Vec<Migrations> {
        vec![homeward_messaging::MIGRATIONS, TABLES]
    }

    /// The service on a migrated database. Relative paths in `config` are taken from `data_dir`.
    ///
    /// # Errors
    /// [`StartError`] if notices cannot be sent as configured.
    pub async fn new(
        db: Database,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        config: &Config,
        data_dir: &std::path::Path,
    ) -> Result<Self, StartError> {
        let outbox = Outbox::new(db.clone(), broker.clone(), clock.clone(), "notification");
        let transport = transport::open(config, data_dir).await?;
        let sender = Arc::new(Sender::new(db.clone(), outbox.clone(), clock, config, transport));
        Ok(Self { db, broker, outbox, sender })
    }

    /// The gRPC service.
    pub fn rpc(&self) -> NotificationServiceServer<Notifications> {
        NotificationServiceServer::new(Notifications::new(self.db.clone()))
    }

    /// Starts consuming and sending.
    pub fn spawn(&self, shutdown: &Shutdown) {
        let (outbox, stop) = (self.outbox.clone(), shutdown.token());
        shutdown.run("notification.outbox", async move { outbox.run(stop).await });
        let (sender, stop) = (self.sender.clone(), shutdown.token());
        shutdown.run("notification.sender", async move { sender.run(stop).await });
        let handler = Arc::new(Subscriber::new(self.db.clone(), self.outbox.clone(), self.sender.clone()));
        shutdown.run("notification.notices", consume(self.broker.clone(), NOTIFICATION_NOTICES, handler, shutdown.token()));
    }
}
