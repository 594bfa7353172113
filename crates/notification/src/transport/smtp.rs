//! Letters to a mail server, over a small pool of connections.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Letter, Transport, TransportError};
use crate::config::Smtp;
use crate::delivery::Try;
use crate::term::Term;

/// A mail server.
pub struct Server {
    mailer: AsyncSmtpTransport<Tokio1Executor>,
    connections: usize,
}

impl Server {
    /// The server of the configuration. Nothing is sent yet.
    pub fn open(smtp: &Smtp) -> Result<Self, TransportError> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&smtp.url)
            .map_err(TransportError::Server)?
            .pool_config(PoolConfig::new().max_size(smtp.connections.max(1)));
        if let (Some(username), Some(password)) = (&smtp.username, &smtp.password) {
            builder = builder.credentials(Credentials::new(username.clone(), password.reveal().to_owned()));
        }
        Ok(Self { mailer: builder.build(), connections: usize::try_from(smtp.connections.max(1)).unwrap_or(1) })
    }

    async fn send_one(&self, letter: Letter, term: &Term) -> Try {
        if !term.holds() {
            return Try::Late;
        }
        match self.mailer.send(letter.message).await {
            Ok(answer) => Try::Accepted { receipt: answer.first_line().unwrap_or("accepted").to_owned() },
            // 5xx: the server will not take this letter, however often it is asked.
            Err(error) if error.is_permanent() => {
                Try::Failed { problem: format!("the mail server refuses it: {}", chain(&error)) }
            }
            Err(error) => Try::Again { problem: format!("the mail server did not take it: {}", chain(&error)) },
        }
    }
}

fn chain(error: &lettre::transport::smtp::Error) -> String {
    homeward_chassis::error_chain(error)
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, letters: Vec<Letter>, term: &Term) -> Vec<Try> {
        stream::iter(letters).map(|letter| self.send_one(letter, term)).buffered(self.connections).collect().await
    }
}
