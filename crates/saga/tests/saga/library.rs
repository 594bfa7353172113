//! The demo service: one process of it over a database, and the world outside it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{Batch, Broker, Envelope, NewMessage, Outbox};
use homeward_saga::{Applied, Arrival, Coordinator, Domain, Event, Handled, Registry, SagaError, Seen};
use homeward_store::testing::{TestDatabase, migrated};
use homeward_store::{Database, Tx};
use homeward_types::ManualClock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::demo::{Command, Input, Lending, Loan};
use crate::post::Post;
use crate::rehearsal::Shelf;
use crate::store;
use crate::table::start_of_time;

/// What the desk does instead of its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Fine,
    /// Never comes back.
    Hangs,
    /// Cannot carry out anything about this loan.
    Refuses(Uuid),
    /// Panics about this loan.
    Panics(Uuid),
    /// Answers everything with the same again.
    Circles,
}

/// The demo service's part of the transaction.
#[derive(Default)]
pub struct Desk {
    pub calls: AtomicUsize,
    pub mood: Mutex<Mood>,
    pub called: Notify,
    /// Transactions wait here while it is held.
    pub gate: tokio::sync::Mutex<()>,
    pub committed: Mutex<Vec<Uuid>>,
}

#[async_trait]
impl Domain<Lending> for Desk {
    async fn apply(
        &self,
        tx: &mut Tx,
        applied: &[Applied<Lending>],
        messages: &mut Batch,
    ) -> Result<Vec<Arrival<Lending>>, SagaError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.called.notify_one();
        drop(self.gate.lock().await);
        let mood = *self.mood.lock().unwrap();
        let about = |loan: Uuid| applied.iter().any(|change| change.id == loan);
        match mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Refuses(loan) if about(loan) => return Err(SagaError::domain("the desk does not like this reader")),
            Mood::Panics(loan) => assert!(!about(loan), "the desk panics"),
            Mood::Circles => {
                return Ok(applied
                    .iter()
                    .map(|change| Arrival::input(change.id, Input::Cancelled))
                    .chain(another(applied))
                    .collect());
            }
            Mood::Fine | Mood::Refuses(_) => {}
        }
        let (mut asks, mut releases) = (Vec::new(), Vec::new());
        for change in applied {
            for command in &change.commands {
                match command {
                    Command::Keep => asks.push(change.id),
                    Command::Release => releases.push(change.id),
                    Command::Ask
                    | Command::Forget
                    | Command::HandOut
                    | Command::Remind
                    | Command::BringBack
                    | Command::Thank
                    | Command::Tell => {
                        messages.push(message(change, *command));
                    }
                }
            }
        }
        if asks.is_empty() && releases.is_empty() {
            return Ok(Vec::new());
        }
        let kept = store::turn_over(tx, &asks, &releases).await?;
        Ok(kept.into_iter().map(|loan| Arrival::input(loan, Input::Kept(true))).collect())
    }

    fn committed(&self, applied: &[Applied<Lending>]) {
        self.committed.lock().unwrap().extend(applied.iter().map(|change| change.id));
    }
}

/// A new loan for each change: an answer that has no end.
fn another(applied: &[Applied<Lending>]) -> impl Iterator<Item = Arrival<Lending>> {
    let begin = |change: &Applied<Lending>| matches!(change.event, Event::Start);
    applied.iter().filter(move |change| begin(change)).map(|_| begin_loan(Uuid::new_v4()))
}

fn message(change: &Applied<Lending>, command: Command) -> NewMessage {
    NewMessage {
        kind: "shelf.command.any.v1".to_owned(),
        organisation: "library".parse().unwrap(),
        correlation: change.id,
        causation: change.cause,
        idempotency_key: format!("{}/{command:?}", change.id),
        entity_version: change.row_version,
        trace: change.trace.clone(),
        expires_at: None,
        payload: serde_json::to_vec(&command).unwrap().into(),
        state: None,
    }
}

pub fn begin_loan(id: Uuid) -> Arrival<Lending> {
    Arrival::New { id, data: Loan::default(), trace: TraceContext::default() }
}

pub fn loans(n: usize) -> Vec<Uuid> {
    (0..n).map(|_| Uuid::new_v4()).collect()
}

/// One process of the service. Dropped, it is gone as after a crash: what it had in memory is lost.
pub struct Library {
    pub coordinator: Coordinator<Lending, Desk>,
    pub outbox: Outbox,
    pub clock: Arc<ManualClock>,
    pub post: Arc<Post>,
    stop: CancellationToken,
}

/// What is outside the service, and survives it.
#[derive(Default)]
pub struct World {
    pub post: Arc<Post>,
    pub shelves: HashMap<Uuid, Shelf>,
    /// Every command that was carried, with the loan it was about.
    pub carried: Vec<(Uuid, Command)>,
}

/// A fresh database on each engine, with all tables.
pub async fn databases() -> Vec<TestDatabase> {
    migrated(&[homeward_messaging::MIGRATIONS, homeward_saga::MIGRATIONS, store::MIGRATIONS]).await
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(start_of_time()))
}

impl Library {
    /// A process that publishes only once [`Library::open`] is called.
    pub fn silent(db: Database, clock: &Arc<ManualClock>, post: &Arc<Post>) -> Self {
        Self::with(db, clock, post, Registry::new(Lending::new()))
    }

    pub fn with(db: Database, clock: &Arc<ManualClock>, post: &Arc<Post>, registry: Registry<Lending>) -> Self {
        let outbox = Outbox::new(db.clone(), Arc::clone(post) as Arc<dyn Broker>, Arc::clone(clock) as Arc<_>, "library");
        let coordinator = Coordinator::new(db, outbox.clone(), Arc::clone(clock) as Arc<_>, registry, Desk::default());
        Self { coordinator, outbox, clock: Arc::clone(clock), post: Arc::clone(post), stop: CancellationToken::new() }
    }

    /// A process that publishes.
    pub fn open(db: Database, clock: &Arc<ManualClock>, post: &Arc<Post>) -> Self {
        let library = Self::silent(db, clock, post);
        library.start_publishing();
        library
    }

    pub fn start_publishing(&self) {
        let (outbox, stop) = (self.outbox.clone(), self.stop.clone());
        tokio::spawn(async move { outbox.run(stop).await });
    }

    /// Runs the coordinator's own task, until the library is dropped.
    pub fn start_working(&self) -> tokio::task::JoinHandle<Result<(), SagaError>> {
        tokio::spawn(self.coordinator.clone().run(self.stop.clone()))
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub fn desk(&self) -> &Desk {
        self.coordinator.domain()
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.desk().mood.lock().unwrap() = mood;
    }

    pub async fn begin(&self, loans: &[Uuid]) {
        let handled = self.coordinator.handle(loans.iter().map(|id| begin_loan(*id)).collect()).await.unwrap();
        assert!(handled.iter().all(|answer| matches!(answer, Handled::Done { changed: true, .. })), "{handled:?}");
    }

    /// The same input for each of these loans.
    pub async fn say(&self, loans: &[Uuid], input: &Input) -> Vec<Handled<Lending>> {
        self.coordinator.handle(loans.iter().map(|id| Arrival::input(*id, input.clone())).collect()).await.unwrap()
    }

    pub async fn see(&self, id: Uuid) -> Seen<Lending> {
        self.coordinator.read(&[id]).await.unwrap().remove(&id).unwrap()
    }

    pub async fn step(&self, id: Uuid) -> String {
        self.see(id).await.progress.step.unwrap_or_else(|| "closed".to_owned())
    }

    /// How many of these loans are closed.
    pub async fn closed(&self, loans: &[Uuid]) -> usize {
        self.coordinator.read(loans).await.unwrap().values().filter(|seen| seen.progress.is_closed()).count()
    }

    /// Lets everybody do their part until these loans are closed and nothing is under way. `copies` is how often each message comes.
    pub async fn settle(&self, world: &mut World, loans: &[Uuid], copies: usize) {
        let patience = Instant::now() + Duration::from_mins(1);
        loop {
            assert!(Instant::now() < patience, "{} of {} loans closed", self.closed(loans).await, loans.len());
            // In this order: what is published in between lies in the post when it is emptied.
            let unpublished = self.outbox.backlog().await.unwrap().waiting;
            let letters = self.post.take();
            if !letters.is_empty() {
                let arrivals = world.carry(&letters, copies);
                self.coordinator.handle(arrivals).await.unwrap();
            } else if unpublished > 0 {
                // Rows of a process that died are free after their claim.
                self.clock.advance(chrono::TimeDelta::milliseconds(500));
                tokio::time::sleep(Duration::from_millis(2)).await;
            } else if self.closed(loans).await == loans.len() {
                return;
            } else {
                self.say(loans, &Input::Agreed(true)).await;
                self.say(loans, &Input::Read).await;
                self.clock.advance(chrono::TimeDelta::seconds(10));
                self.coordinator.tick().await.unwrap();
            }
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// Carries letters to the shelf, each so often, and brings the answers back, the last first.
    pub fn carry(&mut self, letters: &[Arc<Envelope>], copies: usize) -> Vec<Arrival<Lending>> {
        let mut answers = Vec::new();
        for letter in letters.iter().cycle().take(letters.len() * copies) {
            let command: Command = serde_json::from_slice(&letter.payload).unwrap();
            self.carried.push((letter.correlation, command));
            let board = self.shelves.entry(letter.correlation).or_default();
            let answer = board.carry_out(command).into_iter();
            answers.extend(answer.map(|input| Arrival::Input { id: letter.correlation, input, cause: Some(letter.id) }));
        }
        answers.reverse();
        answers
    }

    /// Every loan ended as it must, and nothing that it must ask was lost.
    pub fn check_end(&self, seen: &Seen<Lending>, id: Uuid) {
        self.shelves[&id].check_end(&seen.progress.data).unwrap();
        let asked = |command| self.carried.contains(&(id, command));
        assert!(asked(Command::Ask) && asked(Command::HandOut) && asked(Command::BringBack) && asked(Command::Tell), "{id}");
    }
}
