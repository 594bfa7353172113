//! The queues in memory, and who waits for what in them. Nothing here waits while the lock is held.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use homeward_types::MessageId;
use tokio::sync::Notify;

use crate::broker::memory::wait::{Unheard, Wait};
use crate::broker::{BrokerError, PublishError};
use crate::envelope::Envelope;
use crate::topology::QueueSpec;

/// A set of queues, by their places in the topology.
type Places = u64;

/// All queues of the topology.
pub(super) struct Queues {
    specs: Vec<QueueSpec>,
    /// One for each queue: it has something to take.
    filled: Vec<Notify>,
    state: Mutex<State>,
}

struct State {
    queues: Vec<Queue>,
    /// Every published message that some queue has not settled.
    held: HashMap<MessageId, Held>,
    /// Settled by every queue while no publisher waited any more; for the next publish of the same message.
    unheard: Unheard,
    /// The queues of each kind that was ever published.
    routes: HashMap<String, Places>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Item>,
    /// Ready, or in a consumer's hands.
    size: usize,
}

#[derive(Default)]
struct Held {
    /// The queues that were given the message since it is held.
    given: Places,
    /// Those of them that have not settled it.
    open: Places,
    /// It was published, so every queue that it belongs to was given it: not only a dead letter that rose in one.
    whole: bool,
    waiting: Vec<(Weak<Wait>, usize)>,
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) envelope: Arc<Envelope>,
    /// How often it was handed out.
    pub(super) deliveries: u32,
    /// It was a dead letter; its row goes when it is settled.
    pub(super) risen: bool,
}

impl Item {
    fn new(envelope: Arc<Envelope>) -> Self {
        Self { envelope, deliveries: 0, risen: false }
    }

    /// A dead letter that gets another chance.
    pub(super) fn risen(envelope: Arc<Envelope>) -> Self {
        Self { envelope, deliveries: 0, risen: true }
    }
}

impl Queues {
    /// # Panics
    /// If there are more than 64 queues: a broker in one process is not meant for that.
    pub(super) fn new(specs: &[QueueSpec]) -> Self {
        assert!(specs.len() <= Places::BITS as usize, "{} queues are too many for one process", specs.len());
        let state = State {
            queues: specs.iter().map(|_| Queue::default()).collect(),
            held: HashMap::new(),
            unheard: Unheard::default(),
            routes: HashMap::new(),
        };
        Self { specs: specs.to_vec(), filled: specs.iter().map(|_| Notify::new()).collect(), state: Mutex::new(state) }
    }

    /// The place of a queue.
    pub(super) fn find(&self, queue: &QueueSpec) -> Result<usize, BrokerError> {
        self.specs.iter().position(|spec| spec.name == queue.name).ok_or_else(|| BrokerError::UnknownQueue(queue.name.to_owned()))
    }

    /// The queue at a place.
    pub(super) fn spec(&self, at: usize) -> &QueueSpec {
        &self.specs[at]
    }

    /// Puts messages into their queues; `wait` hears what becomes of each.
    pub(super) fn add(&self, batch: &[Arc<Envelope>], wait: &Arc<Wait>) {
        let mut state = self.held();
        let mut filled: Places = 0;
        for (index, envelope) in batch.iter().enumerate() {
            let routes = self.routes(&mut state.routes, &envelope.kind);
            // A queue that was given it already is not given it again; one that a dead letter rose in may be the only one.
            let missing = routes & !state.held.get(&envelope.id).map_or(0, |held| held.given);
            if routes == 0 {
                wait.answer(index, Err(PublishError::Unroutable));
                continue;
            }
            if state.unheard.remove(envelope.id) {
                wait.answer(index, Ok(()));
                continue;
            }
            if let Some(full) = places(missing).find(|at| state.queues[*at].size >= self.specs[*at].held) {
                let spec = &self.specs[full];
                wait.answer(
                    index,
                    Err(PublishError::Unavailable(format!("queue {} is full with {} messages", spec.name, spec.held))),
                );
                continue;
            }
            for at in places(missing) {
                state.queues[at].size += 1;
                state.queues[at].ready.push_back(Item::new(Arc::clone(envelope)));
            }
            let held = state.held.entry(envelope.id).or_default();
            held.given |= missing;
            held.open |= missing;
            held.whole = true;
            held.waiting.retain(|(waiter, _)| waiter.strong_count() > 0);
            held.waiting.push((Arc::downgrade(wait), index));
            filled |= missing;
        }
        drop(state);
        for at in places(filled) {
            self.filled[at].notify_one();
        }
    }

    fn routes(&self, known: &mut HashMap<String, Places>, kind: &str) -> Places {
        if let Some(routes) = known.get(kind) {
            return *routes;
        }
        let routes = self.specs.iter().enumerate().filter(|(_, spec)| spec.takes(kind)).fold(0, |set, (at, _)| set | 1 << at);
        known.insert(kind.to_owned(), routes);
        routes
    }

    /// The publisher's patience is at its end: says for each message who has not settled it. The messages stay.
    pub(super) fn give_up(&self, batch: &[Arc<Envelope>], wait: &Wait, patience: Duration) {
        let state = self.held();
        for (index, envelope) in batch.iter().enumerate() {
            if let Some(held) = state.held.get(&envelope.id) {
                let silent: Vec<&str> = places(held.open).map(|at| self.specs[at].name).collect();
                wait.answer(
                    index,
                    Err(PublishError::Unavailable(format!("not settled within {patience:?} by {}", silent.join(" and ")))),
                );
            }
        }
    }

    /// Gives dead letters back to the one queue that they died on, unless they are there already.
    pub(super) fn rise(&self, at: usize, items: Vec<Item>) {
        let mut state = self.held();
        for item in items {
            let held = state.held.entry(item.envelope.id).or_default();
            if held.open & (1 << at) == 0 {
                held.given |= 1 << at;
                held.open |= 1 << at;
                state.queues[at].size += 1;
                state.queues[at].ready.push_back(item);
            }
        }
        drop(state);
        self.filled[at].notify_one();
    }

    /// What is ready in a queue, at most `most`; waits for the first.
    pub(super) async fn take(&self, at: usize, most: usize) -> Vec<Item> {
        loop {
            let filled = self.filled[at].notified();
            tokio::pin!(filled);
            filled.as_mut().enable();
            let taken = self.take_now(at, most);
            if !taken.is_empty() {
                return taken;
            }
            filled.await;
        }
    }

    fn take_now(&self, at: usize, most: usize) -> Vec<Item> {
        let mut state = self.held();
        let ready = &mut state.queues[at].ready;
        let count = ready.len().min(most.max(1));
        let taken = ready.drain(..count).map(|mut item| {
            item.deliveries += 1;
            item
        });
        let taken = taken.collect();
        if !state.queues[at].ready.is_empty() {
            // For a second consumer of the same queue.
            self.filled[at].notify_one();
        }
        taken
    }

    /// Puts unsettled messages back, in front, in their order.
    pub(super) fn put_back(&self, at: usize, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let mut state = self.held();
        for item in items.into_iter().rev() {
            state.queues[at].ready.push_front(item);
        }
        drop(state);
        self.filled[at].notify_one();
    }

    /// A queue has settled these messages. Those that no other queue holds are confirmed.
    pub(super) fn settled(&self, at: usize, ids: &[MessageId]) {
        let mut state = self.held();
        for id in ids {
            state.queues[at].size = state.queues[at].size.saturating_sub(1);
            let Some(held) = state.held.get_mut(id) else { continue };
            held.open &= !(1 << at);
            if held.open == 0
                && let Some(held) = state.held.remove(id)
            {
                let mut heard = false;
                for (wait, index) in held.waiting {
                    if let Some(wait) = wait.upgrade() {
                        heard |= wait.answer(index, Ok(()));
                    }
                }
                if !heard && held.whole {
                    state.unheard.add(*id);
                }
            }
        }
    }

    /// Every step leaves the queues whole, so a panic elsewhere while they were held does no harm.
    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places in a set, rising.
fn places(set: Places) -> impl Iterator<Item = usize> {
    (0..Places::BITS as usize).filter(move |at| set & (1 << at) != 0)
}
