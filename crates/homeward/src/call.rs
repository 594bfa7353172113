//! Commands that ask a running Homeward: reach it, ask, print.

mod cases;
mod leases;
pub mod print;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::{Client, Peer, sized};
#[cfg(feature = "demo")]
use homeward_proto::directory::v1::directory_service_client::DirectoryServiceClient;
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;

use crate::cli::{Ask, Reach};
use crate::exit::Failure;

/// A connection to Homeward in the name of one person.
#[derive(Clone)]
pub struct Connection(Client);

impl Connection {
    /// Connects to `server` bearing `token`.
    ///
    /// # Errors
    /// When the address makes no sense; that nobody answers shows at the first call.
    pub fn to(server: &Peer, token: &Bearer) -> Result<Self, Failure> {
        Ok(Self(server.client().map_err(anyhow::Error::from)?.bearing(token)))
    }

    fn open(reach: &Reach) -> Result<Self, Failure> {
        let server = Peer { ca_file: reach.ca_file.clone(), ..Peer::plaintext(reach.server.clone()) };
        Self::to(&server, &token(reach.token_file.as_deref())?)
    }

    /// Cases.
    pub fn recovery(&self) -> RecoveryServiceClient<Client> {
        sized!(RecoveryServiceClient::new(self.0.clone()))
    }

    /// Accounts.
    #[cfg(feature = "demo")]
    pub fn directory(&self) -> DirectoryServiceClient<Client> {
        sized!(DirectoryServiceClient::new(self.0.clone()))
    }

    /// Leases.
    pub fn policy(&self) -> PolicyServiceClient<Client> {
        sized!(PolicyServiceClient::new(self.0.clone()))
    }
}

/// The person's token: from a file, or from the environment. Never from the command line, which everyone can read.
fn token(file: Option<&Path>) -> Result<Bearer, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("reading the token file {}", path.display()))?,
        None => std::env::var("HOMEWARD_TOKEN")
            .context("no token: set HOMEWARD_TOKEN, or give --token-file (make one with `homeward token`)")?,
    };
    Ok(Bearer::new(text.trim()).context("reading the token")?)
}

/// Runs a command that asks a running Homeward.
///
/// # Errors
/// What Homeward refused, or why it could not be asked.
pub async fn run(ask: Ask) -> Result<ExitCode, Failure> {
    match ask {
        Ask::Diagnose(args) => cases::diagnose(args).await,
        Ask::Recover(args) => cases::recover(args).await,
        Ask::Prove(args) => cases::prove(args).await,
        Ask::Approve(args) => cases::decide(args, true).await,
        Ask::Deny(args) => cases::decide(args, false).await,
        Ask::Cancel(args) => cases::cancel(args).await,
        Ask::ConfirmReset(args) => cases::confirm_reset(args).await,
        Ask::ReturnNow(args) => leases::return_now(args).await,
        Ask::Show(args) => watch::show(args).await,
        Ask::List(args) => cases::list(args).await,
        Ask::Watch(args) => watch::watch(args).await,
        Ask::Leases(args) => leases::leases(args).await,
        Ask::Provider(args) => leases::provider(args).await,
        Ask::Drain(args) => leases::drain(args).await,
        Ask::Release(args) => leases::release(args).await,
        Ask::Incidents(args) => leases::incidents(args).await,
        Ask::Audit(args) => leases::audit(args).await,
    }
}
