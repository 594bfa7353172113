//! How a letter leaves: into a file, or to a mail server.

mod file;
mod smtp;

use std::path::Path;

use async_trait::async_trait;
use lettre::Message;

use crate::config::{Config, Transport as Kind};
use crate::delivery::Try;
use crate::term::Term;

/// Why notices cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// `from` is not a mailbox.
    #[error("notification.from {from:?} is not of the form `Name <someone@domain>`")]
    From {
        /// What it is.
        from: String,
        /// Why it cannot be read.
        #[source]
        source: lettre::address::AddressError,
    },
    /// The outbox folder cannot be made.
    #[error("notification.outbox {path} cannot be used")]
    Outbox {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No mail server is named.
    #[error(
        "notification.transport is smtp, but notification.smtp is missing; add url, and username and password if the server wants them"
    )]
    NoServer,
    /// The mail server's address makes no sense.
    #[error("notification.smtp.url cannot be used; expected smtps://host, or smtp://host?tls=required")]
    Server(#[source] lettre::transport::smtp::Error),
}

/// A letter ready to leave, with the name that its file would bear.
pub struct Letter {
    /// The mail.
    pub message: Message,
    /// A file name made of the delivery key: a repeat takes the place of the first.
    pub file: String,
}

/// Something that takes letters.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a batch; says what became of each, in order. `Accepted` only once it is safe from a crash of ours; `Late` if its turn
    /// came after the term.
    async fn send(&self, letters: Vec<Letter>, term: &Term) -> Vec<Try>;
}

/// The configured transport.
pub async fn open(config: &Config, data_dir: &Path) -> Result<Box<dyn Transport>, TransportError> {
    config
        .from
        .parse::<lettre::message::Mailbox>()
        .map_err(|source| TransportError::From { from: config.from.clone(), source })?;
    Ok(match config.transport {
        Kind::File => Box::new(file::Folder::open(data_dir.join(&config.outbox)).await?),
        Kind::Smtp => Box::new(smtp::Server::open(config.smtp.as_ref().ok_or(TransportError::NoServer)?)?),
    })
}
