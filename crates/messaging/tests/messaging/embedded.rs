//! Outbox, broker in memory and consumers together: embedded must be as durable as distributed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_messaging::outbox::Pace;
use homeward_messaging::{
    Broker, HandleError, Handler, MIGRATIONS, MemoryBroker, Outbox, PublishError, QueueSpec, Received, Settle, Verdict, consume,
};
use homeward_store::testing::sqlite;
use homeward_store::{Database, StoreError, on, transaction};
use homeward_types::{MessageId, SystemClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::sending::{COPY, EVENTS, QUEUES, WORK, envelope, eventually, message, publish, soon};

const PING: QueueSpec = QueueSpec::new("ping.balls", &["ping.command.*.v1"]);
const PONG: QueueSpec = QueueSpec::new("pong.balls", &["pong.command.*.v1"]);

fn pace() -> Pace {
    Pace { poll: Duration::from_millis(10), retry: Duration::from_millis(10), ..Pace::default() }
}

async fn broker(queues: &[QueueSpec], db: &Database, patience: Duration) -> Arc<dyn Broker> {
    Arc::new(MemoryBroker::open_with_patience(queues, db.clone(), Arc::new(SystemClock), patience).await.unwrap())
}

fn run(outbox: &Outbox) -> AbortOnDropHandle<()> {
    let outbox = outbox.clone();
    AbortOnDropHandle::new(tokio::spawn(async move { outbox.run(CancellationToken::new()).await }))
}

fn serve(broker: &Arc<dyn Broker>, queue: QueueSpec, handler: Arc<dyn Handler>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(consume(Arc::clone(broker), queue, handler, CancellationToken::new())))
}

async fn rows(db: &Database) -> i64 {
    on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(pool).await).unwrap()
}

/// Answers every ball with one to the other side, until it has been hit often enough.
struct Player {
    db: Database,
    outbox: Outbox,
    to: &'static str,
    finished: Arc<Mutex<HashSet<String>>>,
}

#[async_trait]
impl Handler for Player {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        let answers = transaction!(self.db, "test.hit", async |tx| -> Result<_, StoreError> {
            let mut answers = self.outbox.batch();
            for received in &batch {
                let hits = received.envelope.entity_version;
                if hits > 0 {
                    answers.push(
                        message(self.to, &received.envelope.idempotency_key).of_version(hits - 1).caused_by(received.envelope.id),
                    );
                }
            }
            answers.store(tx).await?;
            Ok(answers)
        })?;
        self.outbox.publish(answers);
        let over = batch.iter().filter(|received| received.envelope.entity_version == 0);
        self.finished.lock().unwrap().extend(over.map(|received| received.envelope.idempotency_key.clone()));
        Ok(vec![Verdict::Done; batch.len()])
    }

    async fn is_ready(&self) -> bool {
        self.db.ping().await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_answer_each_other_never_stand_still() {
    const BALLS: usize = 300;
    const HITS: i64 = 20;
    let (first, second, dead) = (sqlite().await, sqlite().await, sqlite().await);
    let broker = broker(&[PING, PONG], &dead, Duration::from_secs(5)).await;
    let finished: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut running = Vec::new();
    let mut outboxes = Vec::new();
    for (db, queue, to) in [(&first, PING, "pong.command.hit.v1"), (&second, PONG, "ping.command.hit.v1")] {
        db.migrate(&[MIGRATIONS]).await.unwrap();
        let outbox = Outbox::with_pace((**db).clone(), Arc::clone(&broker), Arc::new(SystemClock), queue.name, pace());
        running.push(run(&outbox));
        let player = Player { db: (**db).clone(), outbox: outbox.clone(), to, finished: Arc::clone(&finished) };
        running.push(serve(&broker, queue, Arc::new(player)));
        outboxes.push(outbox);
    }
    // Many callers of one service, each with a transaction of its own.
    let mut calls = tokio::task::JoinSet::new();
    for ball in 0..BALLS {
        let (db, outbox) = ((*first).clone(), outboxes[0].clone());
        calls.spawn(async move {
            let batch = transaction!(db, "test.serve", async |tx| -> Result<_, StoreError> {
                let mut batch = outbox.batch();
                batch.push(message("pong.command.hit.v1", &ball.to_string()).of_version(HITS));
                batch.store(tx).await?;
                Ok(batch)
            })
            .unwrap();
            outbox.publish_confirmed(batch).await
        });
    }
    let served = soon("all serves", calls.join_all()).await;
    assert!(served.iter().all(|published| published.confirmed.len() == 1), "a confirm did not come in time");
    eventually("every ball is out", async || finished.lock().unwrap().len() == BALLS).await;
    for db in [&first, &second] {
        eventually("everything is confirmed", async || rows(db).await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_stays_until_every_subscriber_has_acknowledged() {
    let db = sqlite().await;
    db.migrate(&[MIGRATIONS]).await.unwrap();
    let broker = broker(QUEUES, &db, Duration::from_millis(50)).await;
    let outbox = Outbox::with_pace((*db).clone(), Arc::clone(&broker), Arc::new(SystemClock), "test", pace());
    let _running = run(&outbox);
    let (batch, id) = transaction!(db, "test.decide", async |tx| -> Result<_, StoreError> {
        let mut batch = outbox.batch();
        let id = batch.push(message("test.event.happened.v1", "x"));
        batch.store(tx).await?;
        Ok((batch, id))
    })
    .unwrap();
    let mut events = broker.subscribe(&EVENTS).await.unwrap();
    let published = soon("an answer", outbox.publish_confirmed(batch)).await;
    assert_eq!(published.waiting, [id], "nobody has acknowledged");
    let taken = soon("the event", events.next_batch(10)).await.unwrap();
    events.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
    // The relay publishes it again and again; it is held, so nobody gets it twice, and one subscriber is missing.
    eventually("the relay saw who is missing", async || {
        let again = publish(&broker, vec![Arc::clone(taken[0].envelope.as_ref().unwrap())]).await.unwrap();
        again == [Err(PublishError::Unavailable("not settled within 50ms by test.copy".to_owned()))]
    })
    .await;
    assert_eq!((rows(&db).await, outbox.confirmed(&[id]).await.unwrap().len()), (1, 0));
    assert!(tokio::time::timeout(Duration::from_millis(100), events.next_batch(10)).await.is_err(), "handed out twice");
    let mut copy = broker.subscribe(&COPY).await.unwrap();
    let taken = soon("the event", copy.next_batch(10)).await.unwrap();
    assert_eq!((taken.len(), taken[0].deliveries), (1, 1));
    copy.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
    eventually("it is confirmed", async || rows(&db).await == 0).await;
    assert!(outbox.confirmed(&[id]).await.unwrap().contains(&id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_before_a_crash_is_delivered_after_it() {
    let db = sqlite().await;
    db.migrate(&[MIGRATIONS]).await.unwrap();
    let clock = Arc::new(homeward_types::ManualClock::new(homeward_types::Clock::now(&SystemClock)));
    let ids: Vec<MessageId> = {
        let broker = broker(QUEUES, &db, Duration::from_secs(5)).await;
        let outbox = Outbox::with_pace((*db).clone(), Arc::clone(&broker), clock.clone(), "test", pace());
        let _running = run(&outbox);
        let (batch, ids) = transaction!(db, "test.decide", async |tx| -> Result<_, StoreError> {
            let mut batch = outbox.batch();
            let ids = (0..4).map(|key| batch.push(message("test.command.a.v1", &key.to_string()))).collect::<Vec<_>>();
            batch.store(tx).await?;
            Ok((batch, ids))
        })
        .unwrap();
        outbox.publish(batch);
        let mut consumer = broker.subscribe(&WORK).await.unwrap();
        let taken = soon("messages", consumer.next_batch(4)).await.unwrap();
        consumer.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
        ids
        // The process dies here, with everything that was in memory.
    };
    clock.advance(chrono::TimeDelta::seconds(11));
    let broker = broker(QUEUES, &db, Duration::from_secs(5)).await;
    let outbox = Outbox::with_pace((*db).clone(), Arc::clone(&broker), clock, "test", pace());
    let _running = run(&outbox);
    let mut consumer = broker.subscribe(&WORK).await.unwrap();
    let mut came = HashSet::new();
    while came.len() < 3 || !ids[1..].iter().all(|id| came.contains(id)) {
        for delivery in soon("messages", consumer.next_batch(4)).await.unwrap() {
            came.insert(delivery.envelope.unwrap().id);
            consumer.settle(vec![(delivery.receipt, Settle::Ack)]).await.unwrap();
        }
    }
    eventually("everything is confirmed", async || rows(&db).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_outlive_the_process() {
    let db = sqlite().await;
    let message = envelope("test.command.a.v1", 1);
    {
        let broker = broker(QUEUES, &db, Duration::from_secs(5)).await;
        let publishing = publish(&broker, vec![Arc::clone(&message)]);
        let mut consumer = broker.subscribe(&WORK).await.unwrap();
        let taken = soon("it", consumer.next_batch(1)).await.unwrap();
        consumer.settle(vec![(taken[0].receipt, Settle::DeadLetter("mend me".to_owned()))]).await.unwrap();
        assert!(soon("a confirm", publishing).await.unwrap()[0].is_ok());
    }
    let broker = broker(QUEUES, &db, Duration::from_secs(5)).await;
    let letters = broker.dead(&WORK, 10).await.unwrap();
    assert_eq!((letters[0].envelope.as_ref().unwrap(), letters[0].reason.as_str()), (&message, "mend me"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_rose_does_not_stand_in_for_the_other_queues() {
    // The process died after one queue had made a dead letter of it, and before the other had it at all.
    let db = sqlite().await;
    let message = envelope("test.event.happened.v1", 1);
    {
        let broker = broker(QUEUES, &db, Duration::from_millis(10)).await;
        let publishing = publish(&broker, vec![Arc::clone(&message)]);
        let mut events = broker.subscribe(&EVENTS).await.unwrap();
        let taken = soon("it", events.next_batch(1)).await.unwrap();
        events.settle(vec![(taken[0].receipt, Settle::DeadLetter("mend me".to_owned()))]).await.unwrap();
        assert!(soon("no confirm", publishing).await.unwrap()[0].is_err());
    }
    let broker = broker(QUEUES, &db, Duration::from_secs(5)).await;
    broker.redrive(&EVENTS, &[message.id], message.at).await.unwrap();
    let publishing = publish(&broker, vec![Arc::clone(&message)]);
    for queue in [EVENTS, COPY] {
        let mut consumer = broker.subscribe(&queue).await.unwrap();
        let taken = soon("it", consumer.next_batch(10)).await.unwrap();
        assert_eq!((taken.len(), taken[0].envelope.as_ref().unwrap()), (1, &message), "on {}", queue.name);
        consumer.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
    }
    assert!(soon("a confirm", publishing).await.unwrap()[0].is_ok());
}
