//! The outbox on both databases: what survives what, and who publishes when.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homeward_messaging::inbox::{hear, heard};
use homeward_messaging::outbox::{Backlog, Pace};
use homeward_messaging::{Batch, Broker, Envelope, MIGRATIONS, NewMessage, Outbox, PublishError, Received};
use homeward_store::testing::{TestDatabase, migrated, schemas_agree};
use homeward_store::{Database, StoreError, on, transaction};
use homeward_types::{Clock, ManualClock, MessageId, SystemClock, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::scripted::{Answer, Scripted};
use crate::sending::{envelope, eventually, message, soon};

/// Nothing happens by itself for a long time: only what a test causes.
fn slow() -> Pace {
    let long = Duration::from_hours(1);
    Pace { sweep: long, poll: long, retry: Duration::ZERO, ..Pace::default() }
}

/// Everything that happens by itself happens at once.
fn quick() -> Pace {
    let short = Duration::from_millis(5);
    Pace { sweep: short, poll: short, retry: short, ..Pace::default() }
}

fn outbox(db: &Database, broker: &Arc<Scripted>, clock: Arc<dyn Clock>, pace: Pace) -> Outbox {
    let broker: Arc<dyn Broker> = broker.clone();
    Outbox::with_pace(db.clone(), broker, clock, "test", pace)
}

/// Runs the outbox until dropped, as a killed process does.
fn run(outbox: &Outbox) -> AbortOnDropHandle<()> {
    let outbox = outbox.clone();
    AbortOnDropHandle::new(tokio::spawn(async move { outbox.run(CancellationToken::new()).await }))
}

/// Commits messages with their cause.
async fn commit(db: &Database, outbox: &Outbox, messages: &[NewMessage]) -> (Batch, Vec<MessageId>) {
    transaction!(db, "test.decide", async |tx| -> Result<(Batch, Vec<MessageId>), StoreError> {
        let mut batch = outbox.batch();
        let ids = messages.iter().map(|message| batch.push(message.clone())).collect();
        batch.store(tx).await?;
        Ok((batch, ids))
    })
    .unwrap()
}

fn commands(count: usize) -> Vec<NewMessage> {
    (0..count).map(|number| message("policy.command.lend-account.v1", &number.to_string())).collect()
}

async fn rows(db: &Database) -> i64 {
    on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(pool).await).unwrap()
}

async fn claimed_until(db: &Database) -> Timestamp {
    on!(db, pool => sqlx::query_scalar("SELECT claimed_until FROM outbox").fetch_one(pool).await).unwrap()
}

async fn databases() -> Vec<TestDatabase> {
    migrated(&[MIGRATIONS]).await
}

#[tokio::test]
async fn both_engines_have_the_same_tables() {
    schemas_agree(&[MIGRATIONS]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_message_is_deleted_and_says_so() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), quick());
        let _running = run(&outbox);
        let (batch, ids) = commit(&db, &outbox, &commands(3)).await;
        let published = soon("confirms", outbox.publish_confirmed(batch)).await;
        assert_eq!(published.confirmed, ids);
        assert_eq!((published.parked.len(), published.waiting.len()), (0, 0));
        assert_eq!(outbox.confirmed(&ids).await.unwrap(), ids.iter().copied().collect());
        eventually("the rows are deleted", async || rows(&db).await == 0).await;
        assert_eq!(outbox.confirmed(&ids).await.unwrap(), ids.iter().copied().collect());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_arrives_at_the_relay_as_it_was_stored() {
    for db in databases().await {
        let broker = Scripted::new();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let outbox = outbox(&db, &broker, clock.clone(), quick());
        let mut full = message("policy.event.lease-opened.v1", "key").of_version(7).expiring(SystemClock.now());
        full.causation = Some(MessageId::new(&SystemClock));
        full.trace.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
        broker.answer("policy", Answer::Fail(PublishError::Unroutable));
        let (batch, ids) = commit(&db, &outbox, &[full.clone()]).await;
        let _running = run(&outbox);
        outbox.publish(batch);
        eventually("it is parked", async || !outbox.parked(10).await.unwrap().is_empty()).await;
        let parked = outbox.parked(10).await.unwrap().remove(0);
        let envelope = parked.envelope;
        assert_eq!((envelope.id, envelope.sender.as_str(), envelope.sender_number), (ids[0], "test", 1));
        assert_eq!((envelope.at, envelope.expires_at), (clock.now(), full.expires_at));
        let again = NewMessage {
            kind: envelope.kind,
            organisation: envelope.organisation,
            correlation: envelope.correlation,
            causation: envelope.causation,
            idempotency_key: envelope.idempotency_key,
            entity_version: envelope.entity_version,
            trace: envelope.trace,
            expires_at: envelope.expires_at,
            payload: envelope.payload,
            state: None,
        };
        assert_eq!(again, full);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_survives_a_publish_that_failed() {
    for db in databases().await {
        let broker = Scripted::new();
        broker.answer("policy", Answer::Fail(PublishError::Unavailable("away".to_owned())));
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), quick());
        let _running = run(&outbox);
        let (batch, ids) = commit(&db, &outbox, &commands(2)).await;
        let published = soon("an answer", outbox.publish_confirmed(batch)).await;
        assert_eq!(published.waiting, ids);
        assert_eq!(outbox.confirmed(&ids).await.unwrap(), HashSet::new());
        assert_eq!(rows(&db).await, 2);
        eventually("the relay tries again", async || broker.times(ids[0]) > 2).await;
        broker.answer("policy", Answer::Confirm);
        eventually("they are confirmed", async || rows(&db).await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_writer_committed_is_published_once_its_claim_expires_and_not_before() {
    for db in databases().await {
        let broker = Scripted::new();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let outbox = outbox(&db, &broker, clock.clone(), quick());
        // The writer dies between its commit and its publish.
        let (batch, early) = commit(&db, &outbox, &commands(2)).await;
        drop(batch);
        clock.advance(chrono::TimeDelta::seconds(6));
        let (batch, late) = commit(&db, &outbox, &commands(2)).await;
        drop(batch);
        clock.advance(chrono::TimeDelta::seconds(5));
        let _running = run(&outbox);
        eventually("the expired ones are gone", async || rows(&db).await == 2).await;
        assert!(early.iter().all(|id| broker.times(*id) == 1));
        assert!(late.iter().all(|id| broker.times(*id) == 0), "taken from a living writer");
        clock.advance(chrono::TimeDelta::seconds(5));
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!((broker.distinct(), broker.total()), (4, 4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_never_publish_a_row_twice_at_once() {
    const ROWS: usize = 3_000;
    for db in databases().await {
        let broker = Scripted::new();
        broker.answer("policy", Answer::ConfirmAfter(Duration::from_micros(10)));
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let pace = Pace { flight: 50, ..quick() };
        let writer = outbox(&db, &broker, clock.clone(), pace.clone());
        drop(commit(&db, &writer, &commands(ROWS)).await);
        clock.advance(chrono::TimeDelta::seconds(11));
        // Three processes, each with its own connections.
        let mut running = Vec::new();
        for _ in 0..3 {
            let relay = outbox(&db.reopen().await, &broker, clock.clone(), pace.clone());
            running.push(run(&relay));
        }
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!((broker.distinct(), broker.total(), broker.twice_at_once()), (ROWS, ROWS, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_publish_keeps_its_claim() {
    for db in databases().await {
        let (broker, gate) = (Scripted::new(), Arc::new(Semaphore::new(0)));
        broker.answer("policy", Answer::ConfirmWhen(Arc::clone(&gate)));
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let pace = Pace { renew: Duration::from_millis(5), ..quick() };
        let writer = outbox(&db, &broker, clock.clone(), pace.clone());
        let relay = outbox(&db.reopen().await, &broker, clock.clone(), pace);
        let _running = [run(&writer), run(&relay)];
        let (batch, ids) = commit(&db, &writer, &commands(1)).await;
        writer.publish(batch);
        eventually("it is being published", async || broker.times(ids[0]) == 1).await;
        // Four claims would expire while the broker thinks.
        for _ in 0..8 {
            clock.advance(chrono::TimeDelta::seconds(5));
            let renewed = clock.now() + chrono::TimeDelta::seconds(10);
            eventually("the claim is renewed", async || claimed_until(&db).await == renewed).await;
        }
        gate.add_permits(1);
        eventually("it is gone", async || rows(&db).await == 0).await;
        assert_eq!((broker.times(ids[0]), broker.twice_at_once()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_waited_in_memory_for_too_long_is_left_to_the_relay() {
    for db in databases().await {
        let (broker, gate) = (Scripted::new(), Arc::new(Semaphore::new(0)));
        broker.answer("policy.command", Answer::ConfirmWhen(Arc::clone(&gate)));
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let writer = outbox(&db, &broker, clock.clone(), Pace { flights: 1, flight: 1, ..slow() });
        let running = run(&writer);
        let (batch, ids) = commit(&db, &writer, &commands(2)).await;
        let waiting = tokio::spawn({
            let writer = writer.clone();
            async move { writer.publish_confirmed(batch).await }
        });
        eventually("the first is being published", async || broker.times(ids[0]) == 1).await;
        // The writer was paused; the second row still waits in its memory.
        clock.advance(chrono::TimeDelta::seconds(11));
        let elsewhere = Scripted::new();
        let relay = outbox(&db.reopen().await, &elsewhere, clock.clone(), quick());
        let _relaying = run(&relay);
        eventually("the relay has published both", async || elsewhere.total() == 2).await;
        gate.add_permits(1);
        let published = soon("the writer's answer", waiting).await.unwrap();
        assert_eq!((published.confirmed, published.waiting), (vec![ids[0]], vec![ids[1]]));
        assert_eq!((broker.times(ids[0]), broker.times(ids[1])), (1, 0));
        drop(running);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unroutable_row_parks_alone_and_can_be_sent_again() {
    for db in databases().await {
        let broker = Scripted::new();
        broker.answer("policy.event.nobody", Answer::Fail(PublishError::Unroutable));
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), quick());
        let _running = run(&outbox);
        let kinds = ["policy.event.a.v1", "policy.event.nobody.v1", "policy.event.b.v1"];
        let messages: Vec<_> = kinds.iter().map(|kind| message(kind, kind)).collect();
        let (batch, ids) = commit(&db, &outbox, &messages).await;
        let published = soon("answers", outbox.publish_confirmed(batch)).await;
        assert_eq!((published.confirmed, published.parked), (vec![ids[0], ids[2]], vec![ids[1]]));
        eventually("the others are gone", async || rows(&db).await == 1).await;
        let parked = outbox.parked(10).await.unwrap();
        assert_eq!((parked[0].envelope.id, parked[0].reason.as_str()), (ids[1], "no queue takes messages of this kind"));
        assert_eq!(outbox.confirmed(&ids).await.unwrap(), HashSet::from([ids[0], ids[2]]));
        let Backlog { waiting, oldest, parked } = outbox.backlog().await.unwrap();
        assert_eq!((waiting, oldest, parked), (0, None, 1));

        broker.answer("policy.event.nobody", Answer::Confirm);
        assert_eq!(outbox.unpark(&ids).await.unwrap(), 1);
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!(broker.times(ids[1]), 2, "a parked row is left alone until a person mends it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_rows_leave_with_the_next_transaction_that_comes_by() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), slow());
        let _running = run(&outbox);
        let (batch, first) = commit(&db, &outbox, &commands(5)).await;
        assert_eq!(soon("confirms", outbox.publish_confirmed(batch)).await.confirmed.len(), 5);
        assert_eq!(rows(&db).await, 5);
        // Undone: nothing was deleted, and nothing is forgotten.
        let undone = transaction!(db, "test.fail", async |tx| -> Result<(), StoreError> {
            let mut batch = outbox.batch();
            batch.push(message("policy.event.a.v1", "x"));
            batch.store(tx).await?;
            Err(StoreError::NotOneRow { what: "test", changed: 0 })
        });
        assert!(undone.is_err());
        assert_eq!(rows(&db).await, 5);
        assert_eq!(outbox.confirmed(&first).await.unwrap().len(), 5);
        let (batch, second) = commit(&db, &outbox, &commands(2)).await;
        assert_eq!(rows(&db).await, 2, "five went, two came, in one transaction");
        assert_eq!(outbox.confirmed(&first).await.unwrap().len(), 5);
        assert_eq!(outbox.confirmed(&second).await.unwrap().len(), 0);
        outbox.publish(batch);
        eventually("the second batch is confirmed", async || outbox.confirmed(&second).await.unwrap().len() == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_deletes_what_was_confirmed() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), slow());
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (outbox, stop) = (outbox.clone(), stop.clone());
            async move { outbox.run(stop).await }
        });
        let (batch, _) = commit(&db, &outbox, &commands(5)).await;
        soon("confirms", outbox.publish_confirmed(batch)).await;
        assert_eq!(rows(&db).await, 5);
        stop.cancel();
        soon("the stop", running).await.unwrap();
        assert_eq!(rows(&db).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_committed_is_never_published() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), quick());
        let _running = run(&outbox);
        let mut never_stored = outbox.batch();
        never_stored.push(message("policy.event.a.v1", "x"));
        outbox.publish(never_stored);
        let mut changed_after = commit(&db, &outbox, &commands(1)).await.0;
        changed_after.push(message("policy.event.a.v1", "y"));
        outbox.publish(changed_after);
        outbox.publish(outbox.batch());
        let (batch, ids) = commit(&db, &outbox, &commands(1)).await;
        assert_eq!(soon("a confirm", outbox.publish_confirmed(batch)).await.confirmed, ids);
        assert_eq!(broker.distinct(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_beyond_the_memory_are_left_to_the_relay() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), Pace { in_memory: 10, flight: 7, ..quick() });
        let (batch, _) = commit(&db, &outbox, &commands(50)).await;
        outbox.publish(batch);
        let (batch, _) = commit(&db, &outbox, &commands(6)).await;
        outbox.publish(batch);
        let _running = run(&outbox);
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!((broker.distinct(), broker.total()), (56, 56));
        assert!(broker.batches().iter().all(|size| *size <= 7), "{:?}", broker.batches());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_destination_holds_up_no_other() {
    for db in databases().await {
        let broker = Scripted::new();
        broker.answer("notification", Answer::Silence);
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), Pace { flights: 2, flight: 5, ..quick() });
        let _running = run(&outbox);
        let notices: Vec<_> = (0..100).map(|number| message("notification.command.tell.v1", &number.to_string())).collect();
        let (batch, _) = commit(&db, &outbox, &notices).await;
        outbox.publish(batch);
        let (batch, ids) = commit(&db, &outbox, &commands(20)).await;
        assert_eq!(soon("confirms", outbox.publish_confirmed(batch)).await.confirmed, ids);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_small_transactions_share_their_confirms() {
    const CALLS: usize = 400;
    for db in databases().await {
        let (broker, gate) = (Scripted::new(), Arc::new(Semaphore::new(0)));
        broker.answer("policy", Answer::ConfirmWhen(Arc::clone(&gate)));
        // A clock that stands still: no claim expires, however slow the machine is.
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let outbox = outbox(&db, &broker, clock, Pace { flights: 2, ..quick() });
        let _running = run(&outbox);
        let mut calls = tokio::task::JoinSet::new();
        let committed = Arc::new(AtomicUsize::new(0));
        for _ in 0..CALLS {
            let (db, outbox, committed) = (db.clone(), outbox.clone(), Arc::clone(&committed));
            calls.spawn(async move {
                let (batch, _) = commit(&db, &outbox, &commands(1)).await;
                committed.fetch_add(1, Ordering::SeqCst);
                outbox.publish_confirmed(batch).await
            });
        }
        // While the broker thinks, what comes in gathers.
        eventually("all are committed", async || committed.load(Ordering::SeqCst) == CALLS).await;
        gate.add_permits(1);
        for published in soon("all calls", calls.join_all()).await {
            assert_eq!(published.confirmed.len() + published.waiting.len(), 1);
        }
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!(broker.distinct(), CALLS);
        let batches = broker.batches();
        assert!(batches.len() <= 10, "{CALLS} calls were published in {batches:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_rise_for_ever() {
    for db in databases().await {
        let broker = Scripted::new();
        let outbox = outbox(&db, &broker, Arc::new(SystemClock), quick());
        assert_eq!(outbox.last_number().await.unwrap(), 0);
        let running = run(&outbox);
        let (batch, _) = commit(&db, &outbox, &commands(600)).await;
        soon("confirms", outbox.publish_confirmed(batch)).await;
        eventually("all are gone", async || rows(&db).await == 0).await;
        assert_eq!(outbox.last_number().await.unwrap(), 600);
        drop(running);
        // Another process, after everything was deleted.
        let reopened = db.reopen().await;
        let outbox = self::outbox(&reopened, &broker, Arc::new(SystemClock), quick());
        assert_eq!(outbox.last_number().await.unwrap(), 600);
        drop(commit(&reopened, &outbox, &commands(1)).await);
        assert_eq!(outbox.last_number().await.unwrap(), 601);
    }
}

#[tokio::test]
async fn after_a_restore_numbers_go_on_above_what_neighbours_heard() {
    for db in databases().await {
        let outbox = outbox(&db, &Scripted::new(), Arc::new(SystemClock), slow());
        // Before the first number, and after some.
        for (above, next) in [(100, 101), (50, 102), (1_000, 1_001)] {
            outbox.go_on_above(above).await.unwrap();
            drop(commit(&db, &outbox, &commands(1)).await);
            assert_eq!(outbox.last_number().await.unwrap(), next, "above {above}");
        }
    }
}

#[tokio::test]
async fn the_highest_number_of_each_sender_is_kept() {
    for db in databases().await {
        let received = |sender: &str, number| Received {
            envelope: Arc::new(Envelope { sender: sender.to_owned(), ..(*envelope("test.event.a.v1", number)).clone() }),
            deliveries: 1,
            span: tracing::Span::none(),
        };
        let batches = [
            vec![received("policy", 7), received("directory", 2), received("policy", 9)],
            vec![received("policy", 8), received("directory", 3)],
            vec![],
        ];
        for batch in batches {
            transaction!(db, "test.hear", async |tx| -> Result<(), StoreError> { hear(tx, &batch).await }).unwrap();
        }
        let expected = [("directory".to_owned(), 3), ("policy".to_owned(), 9)];
        assert_eq!(heard(&db).await.unwrap().into_iter().collect::<Vec<_>>(), expected);
    }
}
