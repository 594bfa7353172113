//! The simulated organisation as whoever runs it sees it: ground truth and faults, over its control port. Homeward has no part in it.

use anyhow::Context;
use homeward_simulator::{AccountTruth, Effect, Fault, FaultState, TruthPage};
use serde::de::DeserializeOwned;

/// The control port of a simulator.
pub struct Truth {
    control: String,
    token: String,
    http: reqwest::Client,
}

impl Truth {
    /// Of the simulator whose control is there.
    pub fn at(control: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("making an HTTP client")?;
        Ok(Self { control: control.trim_end_matches('/').to_owned(), token: token.to_owned(), http })
    }

    /// Every account as it really is.
    pub async fn accounts(&self) -> anyhow::Result<Vec<AccountTruth>> {
        let (mut accounts, mut cursor) = (Vec::new(), 0);
        loop {
            let page: TruthPage = self.get(&format!("/truth?cursor={cursor}")).await?;
            accounts.extend(page.accounts);
            let Some(next) = page.next else { return Ok(accounts) };
            cursor = next;
        }
    }

    /// Everything that happened to accounts after the line `since`, in order.
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

    /// Lets this fault happen from now on.
    pub async fn fault(&self, fault: Fault) -> anyhow::Result<()> {
        self.send(self.http.post(self.url("/faults")).json(&[fault])).await.map(drop)
    }

    /// No fault happens any more.
    pub async fn clear_faults(&self) -> anyhow::Result<()> {
        self.send(self.http.delete(self.url("/faults"))).await.map(drop)
    }

    /// Every fault that was ever set, with how often it fired.
    pub async fn faults(&self) -> anyhow::Result<Vec<FaultState>> {
        self.get("/faults").await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.control)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.send(self.http.get(self.url(path))).await?;
        answer.json().await.with_context(|| format!("reading the simulator's answer to {path}"))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let answer = request.bearer_auth(&self.token).send().await.and_then(reqwest::Response::error_for_status);
        answer.with_context(|| format!("asking the simulator at {}", self.control))
    }
}
