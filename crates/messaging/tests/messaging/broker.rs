//! The two brokers, fresh for each test.

use std::sync::Arc;

pub use homeward_messaging::testing::Vhost;
use homeward_messaging::{Broker, MemoryBroker, RabbitBroker};
use homeward_store::testing::{TestDatabase, sqlite};
use homeward_types::SystemClock;

use crate::sending::QUEUES;

/// A broker of a test's own.
pub struct Fresh {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    remains: Remains,
}

enum Remains {
    Database(#[expect(dead_code, reason = "held until the test ends")] TestDatabase),
    Vhost(Arc<Vhost>),
}

impl Fresh {
    /// Cuts every connection to it. Says how many there were; in one process there are none.
    pub async fn cut(&self) -> usize {
        match &self.remains {
            Remains::Database(_) => 0,
            Remains::Vhost(vhost) => {
                let vhost = Arc::clone(vhost);
                tokio::task::spawn_blocking(move || vhost.cut()).await.unwrap()
            }
        }
    }

    /// Connections that a broker with one consumer has.
    pub fn connections(&self) -> usize {
        match &self.remains {
            Remains::Database(_) => 0,
            Remains::Vhost(_) => 2,
        }
    }
}

/// The in-process broker, with its dead letters in a fresh SQLite file.
pub async fn memory() -> Fresh {
    let database = sqlite().await;
    let broker = MemoryBroker::open(QUEUES, (*database).clone(), Arc::new(SystemClock)).await.unwrap();
    Fresh { broker: Arc::new(broker), remains: Remains::Database(database) }
}

/// RabbitMQ, in a virtual host of the test's own.
pub async fn rabbit() -> Fresh {
    let vhost = Vhost::make();
    let broker = RabbitBroker::new(&vhost.address, QUEUES, "homeward-test", Arc::new(SystemClock)).unwrap();
    broker.connect().await.unwrap();
    Fresh { broker: Arc::new(broker), remains: Remains::Vhost(Arc::new(vhost)) }
}
