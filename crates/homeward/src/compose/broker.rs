//! The broker that the settings ask for.

use anyhow::Context;
use std::sync::Arc;

use homeward_messaging::{RabbitBroker, topology};
use homeward_types::Clock;

use crate::exit::Failure;
use crate::settings::Storage;

/// RabbitMQ as the settings describe it, not connected yet; `None` if they name none. `name` is what its list of connections shows.
///
/// # Errors
/// What is wrong with the settings.
pub fn open(storage: &Storage, name: &str, clock: Arc<dyn Clock>) -> Result<Option<RabbitBroker>, Failure> {
    let Some(address) = &storage.broker else { return Ok(None) };
    let wrong = |error: homeward_messaging::BrokerError| Failure::Configuration(format!("storage.broker: {error}"));
    let mut broker = RabbitBroker::new(address.reveal(), topology::QUEUES, name, clock).map_err(wrong)?;
    if let Some(file) = &storage.broker_ca_file {
        let authority =
            std::fs::read_to_string(file).with_context(|| format!("storage.broker_ca_file: reading {}", file.display()));
        broker = broker.trusting(authority.map_err(|error| Failure::Configuration(format!("{error:#}")))?);
    }
    Ok(Some(if storage.declare { broker } else { broker.without_declaring() }))
}
