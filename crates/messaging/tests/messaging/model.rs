//! Random histories: the broker in memory against a plain model of it, and the consuming loop against what must come out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use homeward_messaging::consume::{Pace, consume_at};
use homeward_messaging::{
    Broker, Consumer, Envelope, HandleError, Handler, MemoryBroker, PublishError, QueueSpec, Receipt, Received, Settle, Verdict,
};
use homeward_store::testing::sqlite;
use homeward_types::{MessageId, SystemClock};
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::memory;
use crate::sending::{COPY, DEADLINE, EVENTS, QUEUES, WORK, envelope, eventually, publish, soon};

const TAKERS: [QueueSpec; 3] = [WORK, EVENTS, COPY];
const KINDS: [&str; 3] = ["test.command.a.v1", "test.event.b.v1", "test.nobody.c.v1"];

#[derive(Debug, Clone)]
enum Step {
    /// Publishes a new message of a kind.
    Publish(usize),
    /// Publishes an earlier message again.
    Again(prop::sample::Index),
    /// Takes at most so many from a queue.
    Take(usize, usize),
    /// Settles one of those in hand.
    Settle(usize, prop::sample::Index, Settle),
    /// Loses the consumer of a queue.
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = 0..TAKERS.len();
    let how = prop_oneof![4 => Just(Settle::Ack), 1 => Just(Settle::Retry), 1 => Just(Settle::DeadLetter("bad".to_owned()))];
    prop_oneof![
        4 => (0..KINDS.len()).prop_map(Step::Publish),
        1 => any::<prop::sample::Index>().prop_map(Step::Again),
        4 => (queue.clone(), 1..4_usize).prop_map(|(queue, most)| Step::Take(queue, most)),
        6 => (queue.clone(), any::<prop::sample::Index>(), how).prop_map(|(queue, at, how)| Step::Settle(queue, at, how)),
        1 => queue.prop_map(Step::Lose),
    ]
}

/// A queue as anyone would write it down.
#[derive(Default)]
struct Model {
    ready: VecDeque<(MessageId, u32)>,
    in_hand: BTreeMap<Receipt, (MessageId, u32)>,
    dead: BTreeSet<MessageId>,
}

type Publishing = JoinHandle<Vec<Result<(), PublishError>>>;

struct History {
    broker: Arc<dyn Broker>,
    consumers: Vec<Option<Box<dyn Consumer>>>,
    models: Vec<Model>,
    messages: Vec<Arc<Envelope>>,
    publishes: Vec<(MessageId, Publishing)>,
}

impl History {
    fn routes(message: &Envelope) -> Vec<usize> {
        (0..TAKERS.len()).filter(|at| TAKERS[*at].takes(&message.kind)).collect()
    }

    fn is_held(&self, id: MessageId) -> bool {
        let holds = |model: &Model| model.ready.iter().chain(model.in_hand.values()).any(|(held, _)| *held == id);
        self.models.iter().any(holds)
    }

    fn publish(&mut self, message: &Arc<Envelope>) {
        if !self.is_held(message.id) {
            for at in Self::routes(message) {
                self.models[at].ready.push_back((message.id, 0));
            }
        }
        self.publishes.push((message.id, publish(&self.broker, vec![Arc::clone(message)])));
    }

    async fn play(&mut self, step: Step) {
        match step {
            Step::Publish(kind) => {
                let message = envelope(KINDS[kind], i64::try_from(self.messages.len()).unwrap());
                self.messages.push(Arc::clone(&message));
                self.publish(&message);
            }
            Step::Again(at) if !self.messages.is_empty() => {
                let message = Arc::clone(at.get(&self.messages));
                self.publish(&message);
            }
            Step::Again(_) => {}
            Step::Take(queue, most) => self.take(queue, most).await,
            Step::Settle(queue, at, how) => self.settle(queue, at, how).await,
            Step::Lose(queue) => {
                self.consumers[queue] = None;
                let model = &mut self.models[queue];
                for (_, held) in std::mem::take(&mut model.in_hand).into_iter().rev() {
                    model.ready.push_front(held);
                }
            }
        }
        // Lets publishers begin, and end where they can.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.check().await;
    }

    async fn take(&mut self, queue: usize, most: usize) {
        if self.consumers[queue].is_none() {
            self.consumers[queue] = Some(self.broker.subscribe(&TAKERS[queue]).await.unwrap());
        }
        let consumer = self.consumers[queue].as_mut().unwrap();
        let model = &mut self.models[queue];
        if model.ready.is_empty() {
            assert!(tokio::time::timeout(Duration::from_millis(1), consumer.next_batch(most)).await.is_err());
            return;
        }
        let taken = soon("a batch", consumer.next_batch(most)).await.unwrap();
        let expected: Vec<_> = model.ready.drain(..most.min(model.ready.len())).map(|(id, times)| (id, times + 1)).collect();
        let handed: Vec<_> = taken.iter().map(|delivery| (delivery.envelope.as_ref().unwrap().id, delivery.deliveries)).collect();
        assert_eq!(handed, expected);
        model.in_hand.extend(taken.iter().map(|delivery| delivery.receipt).zip(expected));
    }

    async fn settle(&mut self, queue: usize, at: prop::sample::Index, how: Settle) {
        let model = &mut self.models[queue];
        if model.in_hand.is_empty() {
            return;
        }
        let receipt = *at.get(&model.in_hand.keys().copied().collect::<Vec<_>>());
        let held = model.in_hand.remove(&receipt).unwrap();
        match &how {
            Settle::Ack => {}
            Settle::Retry => model.ready.push_front(held),
            Settle::DeadLetter(_) => drop(model.dead.insert(held.0)),
        }
        self.consumers[queue].as_mut().unwrap().settle(vec![(receipt, how)]).await.unwrap();
    }

    /// A publish is answered as soon as no queue holds its message any more, and not before.
    async fn check(&mut self) {
        for (id, publish) in std::mem::take(&mut self.publishes) {
            assert_eq!(publish.is_finished(), !self.is_held(id), "{id}");
            if publish.is_finished() {
                let message = self.messages.iter().find(|message| message.id == id).unwrap();
                let expected = if Self::routes(message).is_empty() { Err(PublishError::Unroutable) } else { Ok(()) };
                assert_eq!(publish.await.unwrap(), [expected]);
            } else {
                self.publishes.push((id, publish));
            }
        }
    }

    async fn end(self) {
        for (_, publish) in &self.publishes {
            publish.abort();
        }
        for (queue, model) in TAKERS.iter().zip(&self.models) {
            let dead = self.broker.dead(queue, 1_000).await.unwrap();
            assert_eq!(dead.into_iter().map(|letter| letter.envelope.unwrap().id).collect::<BTreeSet<_>>(), model.dead);
        }
    }
}

/// What a message does to the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Good,
    Poison,
    Panic,
    Dead,
}

/// Handles messages by their nature; the database is down for the calls that are marked so.
struct Fate {
    natures: HashMap<MessageId, Nature>,
    down: Mutex<VecDeque<bool>>,
    done: Mutex<HashMap<MessageId, u32>>,
}

#[async_trait]
impl Handler for Fate {
    async fn handle(&self, batch: Vec<Received>) -> Result<Vec<Verdict>, HandleError> {
        if self.down.lock().unwrap().pop_front().unwrap_or(false) {
            return Err(HandleError::Infrastructure("down".into()));
        }
        let nature = |received: &Received| self.natures[&received.envelope.id];
        assert!(!batch.iter().any(|received| nature(received) == Nature::Panic), "a panic in a handler, as the test wants it");
        if batch.iter().any(|received| nature(received) == Nature::Poison) {
            return Err(HandleError::Failed("poison".into()));
        }
        let mut done = self.done.lock().unwrap();
        for received in &batch {
            *done.entry(received.envelope.id).or_default() += 1;
        }
        let verdict =
            |received| if nature(received) == Nature::Dead { Verdict::DeadLetter("dead".to_owned()) } else { Verdict::Done };
        Ok(batch.iter().map(verdict).collect())
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

async fn consume_all(natures: Vec<Nature>, down: Vec<bool>) {
    let fresh = memory().await;
    let batch: Vec<_> = (0..).zip(&natures).map(|(number, _)| envelope(KINDS[0], number)).collect();
    let natures: HashMap<_, _> = batch.iter().map(|message| message.id).zip(natures).collect();
    let handler = Arc::new(Fate { natures: natures.clone(), down: Mutex::new(down.into()), done: Mutex::default() });
    let tiny = Duration::from_micros(100);
    let pace = Pace { first_wait: tiny, longest_wait: tiny, ..Pace::default() };
    let stop = CancellationToken::new();
    let consuming = tokio::spawn(consume_at(Arc::clone(&fresh.broker), WORK, handler.clone(), stop.clone(), pace));
    let answers = soon("confirms", publish(&fresh.broker, batch.clone())).await.unwrap();
    assert!(answers.iter().all(Result::is_ok), "every message is settled in the end");
    stop.cancel();
    soon("the loop's end", consuming).await.unwrap();
    let dead: BTreeSet<_> =
        fresh.broker.dead(&WORK, 1_000).await.unwrap().into_iter().map(|letter| letter.envelope.unwrap().id).collect();
    let expected: BTreeSet<_> = natures.iter().filter(|(_, nature)| **nature != Nature::Good).map(|(id, _)| *id).collect();
    assert_eq!(dead, expected, "the bad ones, and only they, are dead letters");
    let done = handler.done.lock().unwrap();
    for (id, nature) in &natures {
        let times = done.get(id).copied().unwrap_or_default();
        assert_eq!(times, u32::from(matches!(nature, Nature::Good | Nature::Dead)), "{nature:?} took effect {times} times");
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_broker_in_memory_does_what_a_plain_model_does(steps in prop::collection::vec(step(), 1..120)) {
        block_on(async {
            let db = sqlite().await;
            let broker = MemoryBroker::open_with_patience(QUEUES, (*db).clone(), Arc::new(SystemClock), DEADLINE).await.unwrap();
            let mut history = History {
                broker: Arc::new(broker),
                consumers: TAKERS.iter().map(|_| None).collect(),
                models: TAKERS.iter().map(|_| Model::default()).collect(),
                messages: Vec::new(),
                publishes: Vec::new(),
            };
            for step in steps {
                history.play(step).await;
            }
            history.end().await;
        });
    }

    #[test]
    fn whatever_fails_good_messages_take_effect_and_bad_ones_end_as_dead_letters(
        natures in prop::collection::vec(
            prop_oneof![6 => Just(Nature::Good), 1 => Just(Nature::Poison), 1 => Just(Nature::Panic), 1 => Just(Nature::Dead)], 1..40),
        down in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        block_on(consume_all(natures, down));
    }
}

#[tokio::test]
async fn the_model_test_can_fail() {
    // A publish that nobody settles is not answered: what the model checks is really there.
    let fresh = memory().await;
    let publishing = publish(&fresh.broker, vec![envelope(KINDS[1], 1)]);
    let mut consumer = fresh.broker.subscribe(&EVENTS).await.unwrap();
    let taken = soon("it", consumer.next_batch(1)).await.unwrap();
    consumer.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!publishing.is_finished(), "the other queue still holds it");
    let mut consumer = fresh.broker.subscribe(&COPY).await.unwrap();
    let taken = soon("it", consumer.next_batch(1)).await.unwrap();
    consumer.settle(vec![(taken[0].receipt, Settle::Ack)]).await.unwrap();
    eventually("it is answered", async || publishing.is_finished()).await;
}
