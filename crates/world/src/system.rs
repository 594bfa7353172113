//! Homeward itself as a process: `homeward up`, killed and started again on the same folder and ports.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::{Client, Peer, sized};
use homeward_proto::directory::v1::GetSyncRequest;
use homeward_proto::directory::v1::directory_service_client::DirectoryServiceClient;
use homeward_proto::policy::v1::policy_service_client::PolicyServiceClient;
use homeward_proto::recovery::v1::recovery_service_client::RecoveryServiceClient;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::process::{self, Process};
use crate::settings::{self, ORGANISATION, Plan, Tokens};

/// How long a start, or the first reading of the directory, may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is asked meanwhile.
const STEP: Duration = Duration::from_millis(2);

/// A Homeward with a folder of its own.
pub struct System {
    binary: PathBuf,
    folder: PathBuf,
    /// Where its databases, keys, logs and letters lie.
    pub data: PathBuf,
    /// Its people's tokens.
    pub tokens: Tokens,
    server: Peer,
    environment: Vec<(&'static str, PathBuf)>,
    process: Option<Process>,
}

/// A connection in the name of one person.
#[derive(Clone)]
pub struct Connection(Client);

impl Connection {
    /// Over a client that bears the person's token.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Cases.
    pub fn recovery(&self) -> RecoveryServiceClient<Client> {
        sized!(RecoveryServiceClient::new(self.0.clone()))
    }

    /// Leases.
    pub fn policy(&self) -> PolicyServiceClient<Client> {
        sized!(PolicyServiceClient::new(self.0.clone()))
    }

    /// Accounts.
    pub fn directory(&self) -> DirectoryServiceClient<Client> {
        sized!(DirectoryServiceClient::new(self.0.clone()))
    }
}

impl System {
    /// Settles in `folder`: settings, ports, tokens. Nothing runs yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or no port is free.
    pub fn prepare(binary: &Path, folder: &Path, plan: &Plan<'_>) -> anyhow::Result<Self> {
        let data = folder.join("data");
        // Whoever waits for letters must have a folder to watch before the first one comes.
        std::fs::create_dir_all(data.join("outbox")).context("making the folder of letters")?;
        let (tokens, ports) = (Tokens::generate()?, process::free_ports::<2>()?);
        settings::write(&folder.join("homeward.toml"), &data, plan, &tokens, ports)?;
        let server = Peer::plaintext(format!("http://127.0.0.1:{}", ports[0]));
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            data,
            tokens,
            server,
            environment: Vec::new(),
            process: None,
        })
    }

    /// Starts it with this in its environment from now on.
    pub fn set(&mut self, name: &'static str, value: PathBuf) {
        self.environment.push((name, value));
    }

    /// Where its letters lie.
    pub fn outbox(&self) -> PathBuf {
        self.data.join("outbox")
    }

    /// Starts it and waits until it serves. Says how long that took.
    ///
    /// # Errors
    /// When it ends instead, or does not serve in time.
    pub async fn start(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--config").arg(self.folder.join("homeward.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(command.stdout(Stdio::null()), &self.log())?);
        while !self.serves().await {
            let process = self.process.as_mut().context("it was just started")?;
            if let Some(status) = process.ended()? {
                bail!("homeward up ended with {status}; it said:\n{}", self.last_words());
            }
            if began.elapsed() > PATIENCE {
                bail!("homeward up does not serve after {PATIENCE:?}; it said:\n{}", self.last_words());
            }
            tokio::time::sleep(STEP).await;
        }
        Ok(began.elapsed())
    }

    async fn serves(&self) -> bool {
        let Ok(channel) = self.server.channel() else { return false };
        let asked = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await;
        asked.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    }

    /// Waits until the directory has been read through once: before that nobody can be found.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn knows_everybody(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut directory = self.connect(&self.tokens.approvers[0])?.directory();
        loop {
            let answer = directory.get_sync(GetSyncRequest { organisation: ORGANISATION.into() }).await;
            match answer {
                Ok(answer) if answer.get_ref().last_full_sync.is_some() => return Ok(()),
                answer if began.elapsed() > PATIENCE => bail!("the directory was not read within {PATIENCE:?}: {answer:?}"),
                _ => tokio::time::sleep(STEP * 10).await,
            }
        }
    }

    /// A connection in the name of whom the token belongs to. It outlives restarts.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn connect(&self, token: &Bearer) -> anyhow::Result<Connection> {
        Ok(Connection(self.server.client()?.bearing(token)))
    }

    /// The process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("homeward up does not run")
    }

    /// The process, to look at.
    ///
    /// # Errors
    /// When it does not run.
    pub fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("homeward up does not run")
    }

    /// What it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.join("homeward.log")
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
