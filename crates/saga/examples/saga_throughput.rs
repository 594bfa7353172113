//! How many transitions a second one coordinator stores on SQLite, with everything as shipped: `synchronous=FULL`, the
//! outbox in the same transaction, every saga's row read, decided on and written.
//!
//! `cargo run --release -p homeward-saga --example saga_throughput [loans] [callers]`. With callers, that many tasks submit
//! one loan's inputs each, as gRPC handlers do; without, batches of 500 are handed in.

#[path = "../tests/saga/demo.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod demo;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use demo::{Book, Command, Input, Lending, Loan, Place};
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{
    Batch, Broker, BrokerError, Consumer, DeadLetter, Envelope, NewMessage, Outbox, PublishError, QueueSpec, Redriven,
};
use homeward_saga::{Applied, Arrival, Coordinator, Domain, Handled, Registry, SagaError};
use homeward_store::{Tx, testing};
use homeward_types::{MessageId, SystemClock, Timestamp};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const BATCH: usize = 500;

/// Takes everything at once, so that only the coordinator and the outbox are measured.
struct Sink;

#[async_trait]
impl Broker for Sink {
    fn system(&self) -> &'static str {
        "sink"
    }
    async fn publish(&self, batch: Vec<Arc<Envelope>>) -> Vec<Result<(), PublishError>> {
        batch.iter().map(|_| Ok(())).collect()
    }
    async fn subscribe(&self, queue: &QueueSpec) -> Result<Box<dyn Consumer>, BrokerError> {
        Err(BrokerError::UnknownQueue(queue.name.to_owned()))
    }
    async fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }
    async fn dead(&self, _: &QueueSpec, _: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        Ok(Vec::new())
    }
    async fn redrive(&self, _: &QueueSpec, _: &[MessageId], _: Timestamp) -> Result<Vec<Redriven>, BrokerError> {
        Ok(Vec::new())
    }
}

/// Sends every command as a message.
struct Desk;

#[async_trait]
impl Domain<Lending> for Desk {
    async fn apply(
        &self,
        _: &mut Tx,
        applied: &[Applied<Lending>],
        messages: &mut Batch,
    ) -> Result<Vec<Arrival<Lending>>, SagaError> {
        let organisation: homeward_types::OrganisationId = "library".parse().map_err(SagaError::domain)?;
        for change in applied {
            for command in &change.commands {
                messages.push(message(change, *command, organisation.clone()));
            }
        }
        Ok(Vec::new())
    }
}

fn message(change: &Applied<Lending>, command: Command, organisation: homeward_types::OrganisationId) -> NewMessage {
    NewMessage {
        kind: "shelf.command.any.v1".to_owned(),
        organisation,
        correlation: change.id,
        causation: change.cause,
        idempotency_key: format!("{}/{command:?}", change.id),
        entity_version: change.row_version,
        trace: change.trace.clone(),
        expires_at: None,
        payload: format!("{command:?}").into_bytes().into(),
        state: None,
    }
}

/// The inputs of a loan that goes well, in order; each is one transition.
fn good() -> [Input; 6] {
    let book = |version, place| Input::Book(Book { version, place });
    [Input::Agreed(true), Input::Kept(true), book(1, Place::Out), Input::Read, book(2, Place::Home), Input::Told]
}

fn begin(id: Uuid) -> Arrival<Lending> {
    Arrival::New { id, data: Loan::default(), trace: TraceContext::default() }
}

fn count(handled: &[Handled<Lending>]) -> usize {
    handled.iter().filter(|answer| matches!(answer, Handled::Done { changed: true, .. })).count()
}

async fn in_batches(coordinator: &Coordinator<Lending, Desk>, loans: &[Uuid]) -> anyhow::Result<usize> {
    let mut transitions = 0;
    for batch in loans.chunks(BATCH) {
        transitions += count(&coordinator.handle(batch.iter().map(|id| begin(*id)).collect()).await?);
        for input in good() {
            let arrivals = batch.iter().map(|id| Arrival::input(*id, input.clone())).collect();
            transitions += count(&coordinator.handle(arrivals).await?);
        }
    }
    Ok(transitions)
}

async fn by_callers(coordinator: &Coordinator<Lending, Desk>, loans: &[Uuid], callers: usize) -> anyhow::Result<usize> {
    let mut tasks = Vec::new();
    for share in loans.chunks(loans.len().div_ceil(callers)) {
        let (coordinator, share) = (coordinator.clone(), share.to_vec());
        tasks.push(tokio::spawn(async move {
            let mut transitions = 0;
            for id in share {
                transitions += count(&coordinator.submit(vec![begin(id)]).await?);
                for input in good() {
                    transitions += count(&coordinator.submit(vec![Arrival::input(id, input)]).await?);
                }
            }
            anyhow::Ok(transitions)
        }));
    }
    let mut transitions = 0;
    for task in tasks {
        transitions += task.await??;
    }
    Ok(transitions)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let loans: Vec<Uuid> = (0..args.next().transpose()?.unwrap_or(10_000)).map(|_| Uuid::now_v7()).collect();
    let callers = args.next().transpose()?.unwrap_or(0);
    let db = testing::sqlite().await;
    db.migrate(&[homeward_messaging::MIGRATIONS, homeward_saga::MIGRATIONS]).await?;
    let outbox = Outbox::new(db.clone(), Arc::new(Sink), Arc::new(SystemClock), "library");
    let coordinator = Coordinator::new(db.clone(), outbox.clone(), Arc::new(SystemClock), Registry::new(Lending::new()), Desk);
    let stop = CancellationToken::new();
    let publishing = tokio::spawn({
        let (outbox, stop) = (outbox.clone(), stop.clone());
        async move { outbox.run(stop).await }
    });
    let working = tokio::spawn(coordinator.clone().run(stop.clone()));

    let started = Instant::now();
    let transitions =
        if callers == 0 { in_batches(&coordinator, &loans).await? } else { by_callers(&coordinator, &loans, callers).await? };
    let took = started.elapsed();
    let per_second = f64::from(u32::try_from(transitions)?) / took.as_secs_f64();
    let how = if callers == 0 { format!("batches of {BATCH}") } else { format!("{callers} callers, one input each") };
    println!(
        "{transitions} transitions of {} loans in {:.2} s, {how}: {per_second:.0} transitions/s",
        loans.len(),
        took.as_secs_f64()
    );

    let waited = Instant::now();
    while outbox.backlog().await?.waiting > 0 && waited.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("outbox empty {:.2} s later", waited.elapsed().as_secs_f64());
    stop.cancel();
    working.await??;
    publishing.await?;
    Ok(())
}
