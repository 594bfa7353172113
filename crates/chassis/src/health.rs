//! Whether this process can do its work: a few checks with names, asked every second, for whoever probes it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the checks are asked.
const EVERY: Duration = Duration::from_secs(1);

/// How long a check may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers older than this say nothing any more: whoever asks the checks hangs.
const STALE: Duration = Duration::from_secs(10);

/// What a check says: what an operator should know all the same, or why the process cannot do its work.
pub type Answer = Result<Vec<String>, String>;

/// One thing that the process cannot do without.
pub struct Check {
    name: &'static str,
    ask: Box<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>,
}

impl Check {
    /// The check `name`, asked by `ask`.
    pub fn new<F, A>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        Self { name, ask: Box::new(move || ask().boxed()) }
    }

    async fn outcome(&self) -> (Outcome, Vec<String>) {
        let asked = tokio::time::timeout(PATIENCE, (self.ask)()).await;
        match asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
            Ok(warnings) => (Outcome { name: self.name, ok: true, reason: None }, warnings),
            Err(reason) => (Outcome { name: self.name, ok: false, reason: Some(reason) }, Vec::new()),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// What a check said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was checked.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process can do its work, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it can.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<Outcome>,
    /// What works but should be otherwise.
    pub warnings: Vec<String>,
}

impl Report {
    fn of(outcomes: Vec<(Outcome, Vec<String>)>) -> Self {
        let (checks, warnings): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
        Self { ready: checks.iter().all(|check| check.ok), checks, warnings: warnings.concat() }
    }

    fn not_yet(name: &'static str, reason: impl Into<String>) -> Self {
        Self { ready: false, checks: vec![Outcome { name, ok: false, reason: Some(reason.into()) }], warnings: Vec::new() }
    }

    fn complaints(&self) -> String {
        let bad = self.checks.iter().filter(|check| !check.ok);
        bad.map(|check| format!("{}: {}", check.name, check.reason.as_deref().unwrap_or("?"))).collect::<Vec<_>>().join("; ")
    }
}

/// The health of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    last: Mutex<(Report, Option<Instant>)>,
    ready: watch::Sender<bool>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Of a process that only starts: not ready.
    pub fn new() -> Self {
        let inner = Inner { last: Mutex::new((Report::not_yet("start", "starting"), None)), ready: watch::Sender::new(false) };
        Self(Arc::new(inner))
    }

    /// Tells what the start is waiting for, under the name of the check that it will become.
    pub fn waits_for(&self, name: &'static str, reason: impl Into<String>) {
        self.tell(Report::not_yet(name, reason), None);
    }

    /// The last word. One that is too old says that the process hangs.
    pub fn report(&self) -> Report {
        let (report, at) = self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match at.map(|at| at.elapsed()) {
            Some(age) if age > STALE => Report::not_yet("checks", format!("nothing was checked for {} s", age.as_secs())),
            _ => report,
        }
    }

    /// Whether the process is ready, as it changes.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// Asks `checks` until `stop`; from then on the process is not ready.
    pub async fn watch(self, checks: Vec<Check>, stop: CancellationToken) {
        let gauge = crate::metrics::gauge("homeward.ready", "1", "Whether the process can do its work (1) or not (0).");
        loop {
            let report = Report::of(join_all(checks.iter().map(Check::outcome)).await);
            gauge.record(f64::from(u8::from(report.ready)), &[]);
            self.tell(report, Some(Instant::now()));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        gauge.record(0.0, &[]);
        self.tell(Report::not_yet("stop", "stopping"), None);
    }

    fn tell(&self, report: Report, at: Option<Instant>) {
        let ready = report.ready;
        let complaints = report.complaints();
        let before = {
            let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            let before = last.0.complaints();
            *last = (report, at);
            before
        };
        if complaints != before {
            if ready {
                tracing::info!("ready");
            } else {
                tracing::warn!(reason = complaints, "not ready");
            }
        }
        self.0.ready.send_if_modified(|last| std::mem::replace(last, ready) != ready);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn switch(name: &'static str, well: &Arc<AtomicBool>) -> Check {
        let well = well.clone();
        Check::new(name, move || {
            let well = well.load(Ordering::SeqCst);
            async move { if well { Ok(vec![format!("{name} could be better")]) } else { Err("away".to_owned()) } }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_names_what_fails_and_follows_it() {
        let (database, broker) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (health, stop) = (Health::new(), CancellationToken::new());
        let mut changes = health.changes();
        assert!(!health.report().ready && !*changes.borrow());
        health.waits_for("database", "not there yet");
        assert_eq!(health.report().complaints(), "database: not there yet");
        let checks = vec![switch("database", &database), switch("broker", &broker)];
        let watching = tokio::spawn(health.clone().watch(checks, stop.clone()));
        changes.wait_for(|ready| *ready).await.unwrap();
        assert_eq!(health.report().warnings.len(), 2);
        broker.store(false, Ordering::SeqCst);
        changes.wait_for(|ready| !*ready).await.unwrap();
        let report = health.report();
        assert_eq!(report.complaints(), "broker: away");
        assert_eq!(report.warnings, ["database could be better"]);
        broker.store(true, Ordering::SeqCst);
        changes.wait_for(|ready| *ready).await.unwrap();
        stop.cancel();
        watching.await.unwrap();
        assert_eq!(health.report().complaints(), "stop: stopping");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_and_answers_grow_stale() {
        let (health, stop) = (Health::new(), CancellationToken::new());
        let hanging = Check::new("broker", std::future::pending::<Answer>);
        let watching = tokio::spawn(health.clone().watch(vec![hanging], stop));
        tokio::time::sleep(PATIENCE + EVERY / 2).await;
        assert_eq!(health.report().complaints(), "broker: no answer within 3s");
        watching.abort();
        tokio::time::sleep(STALE * 2).await;
        assert!(health.report().complaints().starts_with("checks: nothing was checked for"), "{:?}", health.report());
    }
}
