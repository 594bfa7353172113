//! The simulated organisation in a process of its own, and its ground truth over the control port.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use homeward_simulator::{AccountTruth, CallCount, Effect, Fault, FaultState, TruthPage};
use serde::de::DeserializeOwned;

use crate::process::{Process, Usage};

const TOKEN: &str = "control-of-a-test";

/// A simulated organisation.
pub struct Simulated {
    process: Option<Process>,
    /// Where the provider's API and the people's pages are.
    pub provider: String,
    control: String,
    token: String,
    http: reqwest::Client,
}

/// Who is in the organisation, and how late it is.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// All managed accounts.
    pub accounts: usize,
    /// Of these, mandatory without a factor.
    pub stranded: usize,
    /// Of these, with a factor that is lost.
    pub lost_phones: usize,
    /// Answers at once and never lags.
    pub zero_delay: bool,
}

impl Simulated {
    /// Starts it; `binary` is `homeward`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(binary: &Path, folder: &Path, population: Population) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.args(["simulator", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]);
        command.env("HOMEWARD_SIMULATOR_TOKEN", TOKEN);
        let numbers =
            [("accounts", population.accounts), ("stranded", population.stranded), ("lost-phones", population.lost_phones)];
        command.args(numbers.map(|(name, number)| format!("--{name}={number}")));
        if population.zero_delay {
            command.arg("--zero-delay");
        }
        let mut process = Process::start(command.stdout(Stdio::piped()), &folder.join("simulator.log"))?;
        let said = BufReader::new(process.output().context("the simulator's output")?);
        let (mut provider, mut control) = (None, None);
        for line in said.lines() {
            let line = line.context("reading what the simulator says")?;
            match line.split_once(char::is_whitespace) {
                Some(("provider", url)) => provider = Some(url.trim().to_owned()),
                Some(("control", url)) if !url.trim_start().starts_with("token") => control = Some(url.trim().to_owned()),
                _ => {}
            }
            if let (Some(provider), Some(control)) = (&provider, &control) {
                let (provider, control) = (provider.clone(), control.clone());
                return Ok(Self { process: Some(process), provider, control, token: TOKEN.to_owned(), http: http_client()? });
            }
        }
        anyhow::bail!("the simulator did not start, see {}", folder.join("simulator.log").display())
    }

    /// One that somebody else started.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn at(provider: &str, control: &str, token: &str) -> anyhow::Result<Self> {
        let (provider, control, token) = (provider.to_owned(), control.to_owned(), token.to_owned());
        Ok(Self { process: None, provider, control, token, http: http_client()? })
    }

    /// What its process has used.
    ///
    /// # Errors
    /// When it is gone, or was started by somebody else.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        self.process.as_ref().context("somebody else started the simulator")?.usage()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.http.get(format!("{}{path}", self.control)).bearer_auth(&self.token).send().await;
        let answer =
            answer.and_then(reqwest::Response::error_for_status).with_context(|| format!("asking the simulator for {path}"))?;
        answer.json().await.with_context(|| format!("reading the simulator's answer to {path}"))
    }

    /// Every account as it really is.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn accounts(&self) -> anyhow::Result<Vec<AccountTruth>> {
        let (mut accounts, mut cursor) = (Vec::new(), 0);
        loop {
            let page: TruthPage = self.get(&format!("/truth?cursor={cursor}")).await?;
            accounts.extend(page.accounts);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(accounts),
            }
        }
    }

    /// Everything that happened to accounts after the line `since`, in order.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn log(&self, since: u64) -> anyhow::Result<Vec<Effect>> {
        let mut all: Vec<Effect> = Vec::new();
        loop {
            let from = all.last().map_or(since, |effect| effect.number);
            let page: Vec<Effect> = self.get(&format!("/truth/log?since={from}")).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Lets these faults happen from now on.
    ///
    /// # Errors
    /// When the simulator does not take them.
    pub async fn set_faults(&self, faults: &[Fault]) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/faults", self.control)).bearer_auth(&self.token).json(faults);
        request.send().await.and_then(reqwest::Response::error_for_status).context("setting faults")?;
        Ok(())
    }

    /// No fault happens any more.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn clear_faults(&self) -> anyhow::Result<()> {
        let request = self.http.delete(format!("{}/faults", self.control)).bearer_auth(&self.token);
        request.send().await.and_then(reqwest::Response::error_for_status).context("taking faults away")?;
        Ok(())
    }

    /// Every fault that was ever set, with how often it fired.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn faults(&self) -> anyhow::Result<Vec<FaultState>> {
        self.get("/faults").await
    }

    /// How often each call of the provider's API was made.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn calls(&self) -> anyhow::Result<Vec<CallCount>> {
        self.get("/calls").await
    }
}

/// A client for plain HTTP.
///
/// # Errors
/// When the system does not let us.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // Only the first of several callers installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().context("making an HTTP client")
}
