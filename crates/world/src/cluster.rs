//! Homeward as separate processes: replicas of every service on a PostgreSQL and a RabbitMQ of their own, started by
//! `deploy/local/homeward.sh` as a person would start them, then killed, paused and started again by the test.

mod servers;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use homeward_chassis::auth::Bearer;
use homeward_chassis::rpc::Peer;

use crate::desk::Desk;
use crate::process::{Usage, usage_of};
use crate::simulated::Simulated;
use crate::system::Connection;

pub use servers::{Servers, program};
pub use service::Service;

/// The services, in the order in which they are started.
pub const ROLES: [&str; 6] = ["directory", "policy", "recovery", "notification", "patrol", "console"];

/// How long all of them may take to be ready.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a cluster is started.
pub struct Wishes<'a> {
    /// `homeward`.
    pub binary: &'a Path,
    /// Where everything is kept. Other users must be able to reach it.
    pub folder: &'a Path,
    /// Processes of each service.
    pub replicas: usize,
    /// What the simulator is told besides its addresses.
    pub simulator: &'a str,
    /// Where traces go, if anywhere.
    pub traces: Option<&'a str>,
    /// The organisation's limits that differ from those of `deploy/homeward.toml`.
    pub limits: toml::Table,
    /// Variables that every service gets besides.
    pub environment: &'a [(&'a str, &'a str)],
    /// Whether each process records its crash boundaries.
    pub records: bool,
}

/// Everything, as processes.
pub struct Cluster {
    folder: PathBuf,
    /// Each process of a service.
    pub services: Vec<Service>,
    /// PostgreSQL and RabbitMQ.
    pub servers: Servers,
    variables: BTreeMap<String, String>,
}

impl Cluster {
    /// Starts it as a person would, then each service anew as a process of this test, with its own settings. Blocks.
    ///
    /// # Errors
    /// What the starter says.
    pub fn start(wishes: &Wishes<'_>) -> anyhow::Result<Self> {
        let replicas = wishes.replicas.to_string();
        let mut up = script("homeward.sh");
        up.arg("up").arg(wishes.folder).args(["--replicas", &replicas]);
        up.env("HOMEWARD_BINARY", wishes.binary)
            .env("HOMEWARD_DURABLE", "1")
            .env("HOMEWARD_SIMULATOR_ARGUMENTS", wishes.simulator);
        up.envs(wishes.traces.map(|address| ("HOMEWARD_OTLP", address)));
        run(&mut up)?;
        let mut services = Vec::new();
        for role in ROLES {
            for replica in 0..wishes.replicas {
                services.push(Service::adopt(wishes, role, replica)?);
            }
        }
        for service in &mut services {
            service.begin()?;
        }
        let servers = Servers::of(wishes.folder)?;
        let variables = variables(&wishes.folder.join("env"))?;
        Ok(Self { folder: wishes.folder.to_owned(), services, servers, variables })
    }

    fn variable(&self, name: &str) -> anyhow::Result<&str> {
        self.variables.get(name).map(String::as_str).with_context(|| format!("the starter did not say {name}"))
    }

    /// The processes of a service.
    pub fn of(&mut self, role: &str) -> impl Iterator<Item = &mut Service> {
        self.services.iter_mut().filter(move |service| service.role == role)
    }

    /// Waits until every process is ready.
    ///
    /// # Errors
    /// Which is not, and why.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        for service in &mut self.services {
            service.ready(PATIENCE.saturating_sub(began.elapsed())).await?;
        }
        Ok(())
    }

    /// Waits until the directory has read all of so many accounts: before that nobody can be found.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn knows(&self, accounts: usize) -> anyhow::Result<()> {
        let (began, sql) =
            (Instant::now(), "SELECT coalesce(max(accounts), 0) FROM directory.sweep WHERE completed_at IS NOT NULL");
        loop {
            let known = self.servers.ask(sql)?;
            if known.parse::<usize>().is_ok_and(|known| known >= accounts) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("directory knows {known} of {accounts} accounts after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a process of the starter's has used, by its name.
    ///
    /// # Errors
    /// When it does not run.
    pub fn usage(&self, name: &str) -> anyhow::Result<Usage> {
        usage_of(pid_of(&self.folder, name)?)
    }

    /// The simulated organisation.
    ///
    /// # Errors
    /// When the starter did not say where it is.
    pub fn simulated(&self) -> anyhow::Result<Simulated> {
        let file = self.variable("HOMEWARD_SIMULATOR_TOKEN_FILE")?;
        let token = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
        Simulated::at(self.variable("HOMEWARD_SIMULATOR")?, self.variable("HOMEWARD_SIMULATOR_CONTROL")?, token.trim())
    }

    /// Requester and approver at every console, so that one of them may be gone.
    ///
    /// # Errors
    /// When an address or a file makes no sense.
    pub fn desk(&self) -> anyhow::Result<Desk> {
        let token = |variable: &str| {
            let file = self.variable(variable)?;
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
            Bearer::new(text.trim()).context("reading a token")
        };
        let (requester, approver) = (token("HOMEWARD_TOKEN_FILE")?, token("HOMEWARD_APPROVER_TOKEN_FILE")?);
        let mut doors = Vec::new();
        for console in self.services.iter().filter(|service| service.role == "console") {
            let address = format!("https://{}", console.variable("HOMEWARD__LISTEN__GRPC__ADDRESS")?);
            let peer = Peer { ca_file: Some(self.variable("HOMEWARD_CA_FILE")?.into()), ..Peer::plaintext(address) };
            let client = peer.client()?;
            doors.push((Connection::new(client.clone().bearing(&requester)), Connection::new(client.bearing(&approver))));
        }
        Desk::at(doors)
    }

    /// The folder of letters of all replicas.
    pub fn letters(&self) -> PathBuf {
        self.folder.join("letters")
    }

    /// The append-only files of openings and ends, one for each process of policy.
    pub fn lease_logs(&self) -> Vec<PathBuf> {
        let policies = self.services.iter().filter(|service| service.role == "policy");
        policies.map(|service| self.folder.join("data").join(service.name()).join("policy/leases.log")).collect()
    }

    /// The ends of all logs, for whoever has to find out what went wrong.
    pub fn last_words(&self) -> String {
        let words = |service: &Service| format!("--- {}\n{}\n", service.name(), service.last_words());
        self.services.iter().map(words).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.services.clear();
        // Best effort: what a test has to say, it has said.
        let _ = run(script("homeward.sh").arg("down").arg(&self.folder));
    }
}

/// The number of a process that a starter started, from the file that it keeps.
fn pid_of(folder: &Path, name: &str) -> anyhow::Result<i32> {
    let file = folder.join(format!("{name}.process"));
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    text.split_whitespace().next().and_then(|pid| pid.parse().ok()).context("a process's number")
}

/// A script of `deploy/local`.
fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local").join(name))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command.output().with_context(|| format!("running {command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Lines like `export NAME=value`, or without `export`.
fn variables(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.trim_start_matches("export ").split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
