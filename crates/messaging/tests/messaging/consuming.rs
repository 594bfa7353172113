//! The consuming loop: who is blamed for what, and what is settled when.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_messaging::consume::{Pace, consume_at};
use homeward_messaging::{Broker, Envelope, HandleError, Handler, Received, Verdict};
use homeward_types::MessageId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::broker::{Fresh, memory, rabbit};
use crate::sending::{WORK, envelope, eventually, publish, soon};

/// A handler that behaves as the payload of each message says, and remembers what happened.
#[derive(Default)]
struct Recorder {
    /// Committed effects, by message.
    done: Mutex<HashMap<MessageId, u32>>,
    /// Calls with one message alone.
    alone: Mutex<HashMap<MessageId, u32>>,
    /// The sizes of the batches.
    batches: Mutex<Vec<usize>>,
    /// The highest delivery count seen.
    deliveries: AtomicUsize,
    database_is_down: AtomicBool,
    /// `is_ready` says no, though `handle` goes on failing by itself.
    unready: AtomicBool,
    calls: AtomicUsize,
    /// Held in `handle` until told, where a test says so.
    gate: Option<Arc<Notify>>,
}

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn done(&self, id: MessageId) -> u32 {
        self.done.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    fn all_done(&self) -> HashSet<MessageId> {
        self.done.lock().unwrap().keys().copied().collect()
    }

    fn alone(&self, id: MessageId) -> u32 {
        self.alone.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.batches.lock().unwrap().push(batch.len());
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self.database_is_down.load(Ordering::SeqCst) {
            return Err(HandleError::Infrastructure("the database is down".into()));
        }
        if let [one] = &batch[..] {
            *self.alone.lock().unwrap().entry(one.envelope.id).or_default() += 1;
        }
        let mut verdicts = Vec::new();
        for received in &batch {
            self.deliveries.fetch_max(received.deliveries as usize, Ordering::SeqCst);
            match &received.envelope.payload[..] {
                b"poison" => return Err(HandleError::Failed("no such lease".into())),
                b"panic" => panic!("a lease without a home"),
                b"dead" => verdicts.push(Verdict::DeadLetter("it contradicts itself".to_owned())),
                b"short" => return Ok(Vec::new()),
                _ => verdicts.push(Verdict::Done),
            }
        }
        let mut done = self.done.lock().unwrap();
        for received in &batch {
            *done.entry(received.envelope.id).or_default() += 1;
        }
        Ok(verdicts)
    }

    async fn is_ready(&self) -> bool {
        !self.database_is_down.load(Ordering::SeqCst) && !self.unready.load(Ordering::SeqCst)
    }
}

fn quick() -> Pace {
    Pace { first_wait: Duration::from_millis(2), longest_wait: Duration::from_millis(10), ..Pace::default() }
}

struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn run(broker: &Arc<dyn Broker>, handler: &Arc<Recorder>, pace: Pace) -> Running {
    let stop = CancellationToken::new();
    let handler: Arc<dyn Handler> = handler.clone();
    let task = tokio::spawn(consume_at(Arc::clone(broker), WORK, handler, stop.clone(), pace));
    Running { stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        soon("the loop's end", self.task).await.unwrap();
    }
}

fn work(payload: &str) -> Arc<Envelope> {
    Arc::new(Envelope { payload: payload.to_owned().into(), ..(*envelope("test.command.a.v1", 1)).clone() })
}

/// One message of each payload.
fn works(payloads: &[&str]) -> Vec<Arc<Envelope>> {
    payloads.iter().map(|payload| work(payload)).collect()
}

async fn both() -> [Fresh; 2] {
    [memory().await, rabbit().await]
}

async fn dead(broker: &Arc<dyn Broker>) -> HashMap<MessageId, String> {
    broker.dead(&WORK, 1_000).await.unwrap().into_iter().map(|letter| (letter.envelope.unwrap().id, letter.reason)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handled_messages_are_acknowledged() {
    for fresh in both().await {
        let broker = &fresh.broker;
        let handler = Recorder::new();
        let batch = works(&["good"; 50]);
        let running = run(broker, &handler, quick());
        let answers = soon("confirms", publish(broker, batch.clone())).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        eventually("all are handled", async || handler.all_done().len() == 50).await;
        running.stop().await;
        assert!(batch.iter().all(|message| handler.done(message.id) == 1), "{}: handled twice", broker.system());
        assert!(handler.batches.lock().unwrap().iter().all(|size| *size <= WORK.batch));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_with_the_database_settles_nothing_and_blames_no_message() {
    for fresh in both().await {
        let broker = &fresh.broker;
        let handler = Recorder::new();
        handler.database_is_down.store(true, Ordering::SeqCst);
        let batch = works(&["good"; 10]);
        let publishing = publish(broker, batch.clone());
        let running = run(broker, &handler, quick());
        eventually("it was tried often", async || handler.calls() > 30).await;
        assert!(handler.all_done().is_empty());
        assert_eq!(dead(broker).await, HashMap::new());
        handler.database_is_down.store(false, Ordering::SeqCst);
        eventually("all are handled", async || handler.all_done().len() == 10).await;
        assert!(soon("confirms", publishing).await.unwrap().iter().all(Result::is_ok));
        running.stop().await;
        assert!(batch.iter().all(|message| handler.done(message.id) == 1));
        assert_eq!(handler.deliveries.load(Ordering::SeqCst), 1, "{}: held, not given back", broker.system());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_trouble_gives_messages_back_once_and_takes_them_again_when_the_database_answers() {
    for fresh in both().await {
        let broker = &fresh.broker;
        let handler = Recorder::new();
        handler.database_is_down.store(true, Ordering::SeqCst);
        let publishing = publish(broker, works(&["good"; 4]));
        let running = run(broker, &handler, Pace { hold: Duration::from_millis(100), ..quick() });
        // Given back: another consumer can have them.
        let mut calls = 0;
        eventually("the loop gave them back and waits", async || {
            let before = std::mem::replace(&mut calls, handler.calls());
            tokio::time::sleep(Duration::from_millis(150)).await;
            calls > 0 && before == calls
        })
        .await;
        let mut other = broker.subscribe(&WORK).await.unwrap();
        let taken = soon("they are there", other.next_batch(10)).await.unwrap();
        assert!(taken.iter().all(|delivery| delivery.deliveries == 2), "{}: given back more than once", broker.system());
        drop(other);
        handler.database_is_down.store(false, Ordering::SeqCst);
        eventually("all are handled", async || handler.all_done().len() == 4).await;
        assert!(soon("confirms", publishing).await.unwrap().iter().all(Result::is_ok));
        assert_eq!(dead(broker).await, HashMap::new());
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_becomes_a_dead_letter_alone_after_failing_five_times_by_itself() {
    for (payload, reason) in [
        ("poison", "failed 5 times by itself, the last time: no such lease"),
        ("panic", "failed 5 times by itself, the last time: the handler panicked: a lease without a home"),
        ("short", "failed 5 times by itself, the last time: the handler gave 0 verdicts for 1 messages"),
    ] {
        for fresh in both().await {
            let broker = &fresh.broker;
            let handler = Recorder::new();
            let batch = works(&["good", "good", "good", payload, "good", "good", "good", "good"]);
            let bad = batch[3].id;
            let publishing = publish(broker, batch.clone());
            let running = run(broker, &handler, quick());
            let expected = HashMap::from([(bad, reason.to_owned())]);
            eventually("it is dead", async || dead(broker).await == expected).await;
            assert!(soon("confirms", publishing).await.unwrap().iter().all(Result::is_ok));
            for message in batch.iter().filter(|message| message.id != bad) {
                eventually("its neighbours are handled", async || handler.done(message.id) == 1).await;
            }
            assert_eq!(handler.alone(bad), 5, "{}", broker.system());
            assert_eq!(handler.done(bad), 0);
            running.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_does_not_keep_others_waiting() {
    let fresh = memory().await;
    let handler = Recorder::new();
    // Its second try is an hour away.
    let pace = Pace { first_wait: Duration::from_hours(1), longest_wait: Duration::from_hours(1), ..Pace::default() };
    let running = run(&fresh.broker, &handler, pace);
    let poison = publish(&fresh.broker, works(&["poison"]));
    eventually("it failed", async || handler.calls() == 1).await;
    let good = publish(&fresh.broker, works(&["good"; 20]));
    assert!(soon("confirms", good).await.unwrap().iter().all(Result::is_ok));
    poison.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_not_blamed_while_the_database_does_not_answer() {
    let fresh = memory().await;
    let handler = Recorder::new();
    handler.unready.store(true, Ordering::SeqCst);
    let batch = works(&["poison"]);
    let publishing = publish(&fresh.broker, batch.clone());
    let running = run(&fresh.broker, &handler, quick());
    eventually("it failed often", async || handler.alone(batch[0].id) > 20).await;
    assert_eq!(dead(&fresh.broker).await, HashMap::new());
    handler.unready.store(false, Ordering::SeqCst);
    eventually("it is dead", async || dead(&fresh.broker).await.contains_key(&batch[0].id)).await;
    publishing.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_of_dead_letter_is_carried_out_at_once() {
    for fresh in both().await {
        let broker = &fresh.broker;
        let handler = Recorder::new();
        let batch = works(&["good", "dead", "good"]);
        let publishing = publish(broker, batch.clone());
        let running = run(broker, &handler, quick());
        let expected = HashMap::from([(batch[1].id, "it contradicts itself".to_owned())]);
        eventually("it is dead", async || dead(broker).await == expected).await;
        assert!(soon("confirms", publishing).await.unwrap().iter().all(Result::is_ok));
        assert_eq!(handler.done(batch[1].id), 1);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_the_batch_in_hand() {
    let fresh = memory().await;
    let gate = Arc::new(Notify::new());
    let handler = Arc::new(Recorder { gate: Some(Arc::clone(&gate)), ..Recorder::default() });
    let publishing = publish(&fresh.broker, works(&["good"]));
    let running = run(&fresh.broker, &handler, quick());
    eventually("the handler has it", async || handler.calls() == 1).await;
    running.stop.cancel();
    gate.notify_one();
    soon("the loop's end", running.task).await.unwrap();
    assert!(soon("a confirm", publishing).await.unwrap()[0].is_ok(), "handled and acknowledged");
}
