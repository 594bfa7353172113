//! The simulated organisation in a process of its own, and its ground truth over the control port.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use homeward_simulator::{AccountTruth, CallCount, Effect, TruthPage};
use serde::de::DeserializeOwned;

use crate::process::Process;

const TOKEN: &str = "control-of-a-test";

/// A simulated organisation.
pub struct Simulated {
    /// The process.
    pub process: Process,
    /// Where the provider's API and the people's pages are.
    pub provider: String,
    control: String,
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
                return Ok(Self { process, provider, control, http: http_client()? });
            }
        }
        anyhow::bail!("the simulator did not start, see {}", folder.join("simulator.log").display())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.http.get(format!("{}{path}", self.control)).bearer_auth(TOKEN).send().await;
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
