//! Sends what is pending: new notices at once, others when their claim runs out.
//!
//! A notice is sent only under a claim that the database has: one that waited in memory for long is claimed anew or left alone,
//! the claim on a batch that takes long is renewed, and no letter begins after its end.

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
use crate::term::Term;
use crate::transport::{Letter, Transport};
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
        let taken = notices.len();
        self.keep(&mut notices).await?;
        if notices.is_empty() {
            return Ok(taken);
        }
        let tries = self.send(&mut notices).await;
        let answers = self.record(&notices, &tries).await?;
        self.outbox.publish(answers);
        Ok(taken)
    }

    /// Renews the claims if little is left of one, and leaves out what is somebody else's by now.
    async fn keep(&self, notices: &mut Vec<Notice>) -> Result<(), StoreError> {
        let enough = after(self.now(), self.config.claim / 2);
        if notices.iter().all(|notice| notice.claimed_until >= enough) {
            return Ok(());
        }
        self.renew(notices).await?;
        notices.retain(|notice| notice.claimed_until >= enough);
        Ok(())
    }

    /// Claims these notices for longer, those that are still claimed as they say.
    async fn renew(&self, notices: &mut [Notice]) -> Result<(), StoreError> {
        let until = self.claim_until();
        let ours: Vec<&Notice> = notices.iter().collect();
        let kept = transaction!(self.db, "delivery.renew", async |tx| -> Result<Vec<String>, StoreError> {
            store::renew(tx, &ours, until).await
        })?;
        let kept: HashSet<String> = kept.into_iter().collect();
        for notice in notices.iter_mut().filter(|notice| kept.contains(&notice.delivery_key)) {
            notice.claimed_until = until;
        }
        Ok(())
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
    async fn send(&self, notices: &mut [Notice]) -> Vec<Try> {
        let now = self.now();
        let written: Vec<_> = notices.iter().map(|notice| letter::write(&self.config, notice, now)).collect();
        let (letters, problems): (Vec<_>, Vec<_>) =
            written.into_iter().map(|letter| letter.map_or_else(|p| (None, Some(p)), |l| (Some(l), None))).unzip();
        let _mark = boundary!("provider", "notice");
        let mut sent = self.send_renewing(letters.into_iter().flatten().collect(), notices).await.into_iter();
        problems
            .into_iter()
            .map(|problem| match problem {
                Some(problem) => Try::Failed { problem: problem.to_string() },
                None => sent.next().unwrap_or_else(|| Try::Again { problem: "the transport gave no answer".into() }),
            })
            .collect()
    }

    /// Sends, and keeps the claims alive meanwhile. If that fails, no further letter begins once the first of them has ended.
    async fn send_renewing(&self, letters: Vec<Letter>, notices: &mut [Notice]) -> Vec<Try> {
        let first_end =
            |notices: &[Notice]| notices.iter().map(|notice| notice.claimed_until).min().unwrap_or(Timestamp::MIN_UTC);
        let term = Term::new(self.clock.clone(), first_end(notices));
        let sending = self.transport.send(letters, &term);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return sent,
                () = tokio::time::sleep(self.config.claim / 3) => {}
            }
            if let Err(error) = self.renew(notices).await {
                tracing::warn!(error = homeward_chassis::error_chain(&error), "the claim on notices under way cannot be renewed");
            }
            term.extend(first_end(notices));
        }
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
                Try::Late => {}
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
            let noted: HashSet<String> = store::set_back(tx, &setbacks).await?.into_iter().collect();
            let mut answers = self.outbox.batch();
            for (notice, _) in accepted.iter().filter(|(notice, _)| ended.contains(&notice.delivery_key)) {
                answers.push(wire::answer(notice, &Ended::Accepted));
            }
            let given_up = |setback: &&Setback<'_>| setback.next_at.is_none() && noted.contains(&setback.notice.delivery_key);
            for setback in setbacks.iter().filter(given_up) {
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
