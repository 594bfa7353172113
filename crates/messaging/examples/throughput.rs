//! How many messages go through outbox, broker in memory and consumer in a second, all durable.
//!
//! `cargo run --release -p homeward-messaging --example throughput [messages] [messages in a transaction] [writers]`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use homeward_chassis::telemetry::TraceContext;
use homeward_messaging::{
    Broker, HandleError, Handler, MIGRATIONS, MemoryBroker, NewMessage, Outbox, QueueSpec, Received, Verdict, consume,
};
use homeward_store::{Database, Options, StoreError, on, transaction};
use homeward_types::{OrganisationId, SystemClock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const QUEUE: QueueSpec = QueueSpec::new("bench.work", &["bench.command.*.v1"]);

/// Does nothing, in batches.
#[derive(Default)]
struct Sink(AtomicUsize);

#[async_trait]
impl Handler for Sink {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.0.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let messages = arguments.next().transpose()?.unwrap_or(200_000);
    let in_transaction = arguments.next().transpose()?.unwrap_or(200);
    let writers = arguments.next().transpose()?.unwrap_or(4);
    let folder = std::env::temp_dir().join(format!("homeward-throughput-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&folder)?;
    let measured = measure(&folder.join("bench.db").display().to_string(), messages, in_transaction, writers).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(path: &str, messages: usize, in_transaction: usize, writers: usize) -> Result<(), Box<dyn Error>> {
    let db = Database::open(&format!("sqlite://{path}"), &Options::default()).await?;
    db.migrate(&[MIGRATIONS]).await?;
    let clock = Arc::new(SystemClock);
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::open(&[QUEUE], db.clone(), clock.clone()).await?);
    let outbox = Outbox::new(db.clone(), Arc::clone(&broker), clock, "bench");
    let stop = CancellationToken::new();
    let sink: Arc<Sink> = Arc::default();
    let consuming = tokio::spawn(consume(Arc::clone(&broker), QUEUE, sink.clone(), stop.clone()));
    let running = tokio::spawn({
        let (outbox, stop) = (outbox.clone(), stop.clone());
        async move { outbox.run(stop).await }
    });
    let began = Instant::now();
    let transactions = messages / in_transaction / writers;
    let mut writing = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (db, outbox) = (db.clone(), outbox.clone());
        writing.spawn(async move {
            for _ in 0..transactions {
                write(&db, &outbox, in_transaction).await?;
            }
            Ok::<(), StoreError>(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    let total = transactions * in_transaction * writers;
    while on!(db, pool => sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM outbox").fetch_one(pool).await)? > 0 {
        tokio::task::yield_now().await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(total)?) / seconds;
    println!("{total} messages, {in_transaction} in a transaction, {writers} writers: {seconds:.2} s, {rate:.0} messages/s");
    println!("handled: {}", sink.0.load(Ordering::Relaxed));
    stop.cancel();
    running.await?;
    consuming.await?;
    db.close().await;
    Ok(())
}

/// One transaction of a writer, and its publish, whose confirms it waits for.
async fn write(db: &Database, outbox: &Outbox, count: usize) -> Result<(), StoreError> {
    let batch = transaction!(db, "bench.write", async |tx| -> Result<_, StoreError> {
        let mut batch = outbox.batch();
        for number in 0..count {
            batch.push(message(number));
        }
        batch.store(tx).await?;
        Ok(batch)
    })?;
    outbox.publish_confirmed(batch).await;
    Ok(())
}

/// About as long as a lease's event.
fn message(number: usize) -> NewMessage {
    NewMessage {
        kind: "bench.command.work.v1".to_owned(),
        organisation: OrganisationId::try_from("acme".to_owned()).unwrap_or_else(|_| unreachable!("a plain word")),
        correlation: Uuid::from_u128(number as u128),
        causation: None,
        idempotency_key: format!("lend-{number}"),
        entity_version: 3,
        trace: TraceContext {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            tracestate: String::new(),
        },
        expires_at: None,
        payload: Bytes::from_static(&[7; 200]),
        state: None,
    }
}
