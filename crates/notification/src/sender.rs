//! Sends what is pending: new notices at once, others when their claim runs out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homeward_chassis::boundary;
use homeward_messaging::{Batch, Outbox};
use homeward_store::{Database, StoreError, transaction};
use homeward_types::limits::{after, backoff};
use homeward_types::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::delivery::store::{self, Setback};
use crate::delivery::{Ended, Notice, Try};
use crate::letter;
use crate::transport::Transport;
use crate::wire;

/// How often it is looked for notices whose worker died, at the latest.
const LOOK: Duration = Duration::from_secs(5);
/// The wait after trouble with the database.
const PAUSE: Duration = Duration::from_secs(1);

/// The one that sends.
pub struct Sender {
    db: Database,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    config: Config,
    transport: Box<dyn Transport>,
    handed_over: Mutex<Vec<Notice>>,
    work: Notify,
}

impl Sender {
    /// A sender that has not started.
    pub fn new(db: Database, outbox: Outbox, clock: Arc<dyn Clock>, config: &Config, transport: Box<dyn Transport>) -> Self {
        let (handed_over, work) = (Mutex::default(), Notify::new());
        Self { db, outbox, clock, config: config.clone(), transport, handed_over, work }
    }

    /// Until when a notice that is claimed now is its worker's alone.
    pub fn claim_until(&self) -> Timestamp {
        after(self.now(), self.config.claim)
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Notices that are stored and claimed by this process. Lost with it; the claim then runs out and another takes them.
    pub fn hand_over(&self, notices: Vec<Notice>) {
        if !notices.is_empty() {
            self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).extend(notices);
            self.work.notify_one();
        }
    }

    /// Sends until the shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let sent = match self.turn().await {
                Ok(sent) => sent,
                Err(error) => {
                    tracing::warn!(error = homeward_chassis::error_chain(&error), "notices wait: the database is in trouble");
                    pause(&shutdown, PAUSE).await;
                    continue;
                }
            };
            if sent == 0 {
                let wait = self.until_due().await;
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = self.work.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    /// One batch. Says how many notices it held.
    async fn turn(&self) -> Result<usize, StoreError> {
        let mut notices = self.take_handed_over();
        if notices.is_empty() {
            notices = self.claim().await?;
        }
        if notices.is_empty() {
            return Ok(0);
        }
        let tries = self.send(&notices).await;
        let answers = self.record(&notices, &tries).await?;
        self.outbox.publish(answers);
        Ok(notices.len())
    }

    fn take_handed_over(&self) -> Vec<Notice> {
        let mut waiting = self.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(self.config.batch.max(1));
        waiting.drain(..count).collect()
    }

    async fn claim(&self) -> Result<Vec<Notice>, StoreError> {
        let (now, most) = (self.now(), i64::try_from(self.config.batch.max(1)).unwrap_or(1));
        if store::next_due(&self.db).await?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        transaction!(self.db, "delivery.claim", async |tx| -> Result<Vec<Notice>, StoreError> {
            store::claim(tx, most, now, self.claim_until()).await
        })
    }

    async fn until_due(&self) -> Duration {
        let due = store::next_due(&self.db).await.ok().flatten();
        due.and_then(|due| (due - self.now()).to_std().ok()).unwrap_or(LOOK).clamp(Duration::from_millis(20), LOOK)
    }

    /// Writes and sends the letters; a notice that no letter can be made of has failed.
    async fn send(&self, notices: &[Notice]) -> Vec<Try> {
        let now = self.now();
        let written: Vec<_> = notices.iter().map(|notice| letter::write(&self.config, notice, now)).collect();
        let (letters, problems): (Vec<_>, Vec<_>) =
            written.into_iter().map(|letter| letter.map_or_else(|p| (None, Some(p)), |l| (Some(l), None))).unzip();
        let _mark = boundary!("provider", "notice");
        let mut sent = self.transport.send(letters.into_iter().flatten().collect()).await.into_iter();
        problems
            .into_iter()
            .map(|problem| match problem {
                Some(problem) => Try::Failed { problem: problem.to_string() },
                None => sent.next().unwrap_or_else(|| Try::Again { problem: "the transport gave no answer".into() }),
            })
            .collect()
    }

    /// Commits what became of the tries, with the answers to whoever asked.
    async fn record(&self, notices: &[Notice], tries: &[Try]) -> Result<Batch, StoreError> {
        let now = self.now();
        let mut accepted = Vec::new();
        let mut setbacks = Vec::new();
        for (notice, outcome) in notices.iter().zip(tries) {
            match outcome {
                Try::Accepted { receipt } => accepted.push((notice, receipt.as_str())),
                Try::Again { problem } => setbacks.push(Setback { notice, problem, next_at: self.next_try(notice, now) }),
                Try::Failed { problem } => setbacks.push(Setback { notice, problem, next_at: None }),
            }
        }
        for setback in &setbacks {
            tracing::warn!(
                delivery = setback.notice.delivery_key,
                problem = setback.problem,
                given_up = setback.next_at.is_none(),
                "a notice was not sent"
            );
        }
        let _mark = boundary!("commit", "notice-accepted");
        transaction!(self.db, "delivery.record", async |tx| -> Result<Batch, StoreError> {
            let ended: HashSet<String> = store::accept(tx, &accepted, now).await?.into_iter().collect();
            store::set_back(tx, &setbacks).await?;
            let mut answers = self.outbox.batch();
            for (notice, _) in accepted.iter().filter(|(notice, _)| ended.contains(&notice.delivery_key)) {
                answers.push(wire::answer(notice, &Ended::Accepted));
            }
            for setback in setbacks.iter().filter(|setback| setback.next_at.is_none()) {
                answers.push(wire::answer(setback.notice, &Ended::Failed { problem: setback.problem.to_owned() }));
            }
            answers.store(tx).await?;
            Ok(answers)
        })
    }

    fn next_try(&self, notice: &Notice, now: Timestamp) -> Option<Timestamp> {
        let wait = backoff(self.config.retry, self.config.retry_max, notice.attempts);
        (notice.attempts + 1 < self.config.tries).then(|| after(now, wait))
    }
}

async fn pause(shutdown: &CancellationToken, wait: Duration) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
