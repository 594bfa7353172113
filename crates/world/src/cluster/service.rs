//! One process of one service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Wishes, pid_of, variables};
use crate::process::{Process, Usage};
use crate::simulated::http_client;

/// How often it is asked whether it is ready.
const STEP: Duration = Duration::from_millis(20);
/// How long a graceful stop may take, by the product's own word.
const STOP: Duration = Duration::from_secs(10);

/// A process of a service: killed, paused, started again on the same ports and folder.
pub struct Service {
    /// Which service.
    pub role: &'static str,
    /// Which of its processes.
    pub replica: usize,
    binary: PathBuf,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    records: bool,
    process: Option<Process>,
    runs: usize,
    http: reqwest::Client,
}

impl Service {
    /// Takes over the place of a process that the starter started: that one is told to end. [`Self::begin`] follows.
    pub(super) fn adopt(wishes: &Wishes<'_>, role: &'static str, replica: usize) -> anyhow::Result<Self> {
        let (name, folder) = (format!("{role}-{replica}"), wishes.folder.to_owned());
        let mut environment = variables(&folder.join(format!("{name}.environment")))?;
        let settings = folder.join(format!("{name}.toml"));
        let given = environment.get("HOMEWARD_CONFIG").context("the starter's environment names a configuration")?;
        std::fs::write(&settings, changed(Path::new(given), wishes)?).context("writing settings")?;
        environment.insert("HOMEWARD_CONFIG".into(), settings.display().to_string());
        for (name, value) in wishes.environment {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let (binary, http) = (wishes.binary.to_owned(), http_client()?);
        let records = wishes.records;
        let service = Self { role, replica, binary, folder, environment, records, process: None, runs: 0, http };
        let pid = Pid::from_raw(service.starters()?).context("a process's number")?;
        kill_process(pid, Signal::TERM).context("ending the starter's process")?;
        Ok(service)
    }

    /// Waits until the starter's process has ended, and begins the one with the test's settings.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        let (pid, began) = (self.starters()?, Instant::now());
        while Path::new(&format!("/proc/{pid}")).exists() {
            ensure!(began.elapsed() < STOP, "{} did not end within {STOP:?}", self.name());
            std::thread::sleep(STEP);
        }
        self.start()
    }

    /// `<role>-<replica>`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.role, self.replica)
    }

    /// Of its environment.
    ///
    /// # Errors
    /// When it has none of this name.
    pub fn variable(&self, name: &str) -> anyhow::Result<&str> {
        self.environment.get(name).map(String::as_str).with_context(|| format!("{} has no {name}", self.name()))
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join(format!("{}.process", self.name()))
    }

    /// The number of the process that the starter started.
    fn starters(&self) -> anyhow::Result<i32> {
        pid_of(&self.folder, &self.name())
    }

    /// The record of crash boundaries of its present run.
    pub fn record(&self) -> PathBuf {
        self.folder.join(format!("{}.{}.boundaries", self.name(), self.runs))
    }

    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.runs += 1;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg(self.role).env_clear().envs(&self.environment);
        if self.records {
            command.env("HOMEWARD_BOUNDARY_FILE", self.record());
        }
        for inherited in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"] {
            command.envs(std::env::var_os(inherited).map(|value| (inherited, value)));
        }
        let process = Process::start(command.stdout(Stdio::null()), &self.log())?;
        // So that `homeward.sh status` and `down` know it.
        std::fs::write(self.pid_file(), format!("{} {}\n", process.id(), process.birth()?)).context("noting the process")?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().with_context(|| format!("{} does not run", self.role))?.kill()
    }

    /// Asks it to end and waits until it has. Says how long that took.
    ///
    /// # Errors
    /// When it takes longer than it may, or ends with a failure.
    pub fn stop(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let name = self.name();
        self.process
            .take()
            .with_context(|| format!("{name} does not run"))?
            .stop()
            .with_context(|| format!("stopping {name}"))?;
        let took = began.elapsed();
        ensure!(took <= STOP, "{name} took {took:?} to stop");
        Ok(took)
    }

    /// Stops it where it stands (`SIGSTOP`), or lets it go on (`SIGCONT`).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, paused: bool) -> anyhow::Result<()> {
        let process = self.process.as_ref().with_context(|| format!("{} does not run", self.role))?;
        if paused { process.pause() } else { process.go_on() }
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> Result<(), String> {
        let probes = self.environment.get("HOMEWARD__LISTEN__PROBES").map_or("", String::as_str);
        let asked = self.http.get(format!("http://{probes}/readyz")).timeout(Duration::from_secs(3)).send().await;
        match asked {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.text().await.unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until it is ready. Says how long that took.
    ///
    /// # Errors
    /// When it is not in time, or ends.
    pub async fn ready(&mut self, patience: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let Err(why) = self.is_ready().await else { return Ok(began.elapsed()) };
            let name = self.name();
            if let Some(status) = self.process.as_mut().map(Process::ended).transpose()?.flatten() {
                bail!("{name} ended with {status}; it said:\n{}", self.last_words());
            }
            if began.elapsed() > patience {
                bail!("{name} is not ready after {patience:?}: {why}; it said:\n{}", self.last_words());
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// What it has used in its present run.
    ///
    /// # Errors
    /// When it does not run.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.role))?.usage()
    }

    /// What it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.join("logs").join(format!("{}.log", self.name()))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// The starter's settings with what the test wishes to be different.
fn changed(given: &Path, wishes: &Wishes<'_>) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(given).with_context(|| format!("reading {}", given.display()))?;
    let mut settings: toml::Table = text.parse().context("reading the starter's settings")?;
    let organisations = settings.get_mut("organisations").and_then(toml::Value::as_array_mut).context("organisations")?;
    for organisation in organisations {
        let limits = organisation.get_mut("limits").and_then(toml::Value::as_table_mut).context("an organisation's limits")?;
        for (name, value) in &wishes.limits {
            limits.insert(name.clone(), value.clone());
        }
    }
    toml::to_string(&settings).context("writing settings")
}
