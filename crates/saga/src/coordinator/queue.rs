//! The queue in front: what many callers submit while a transaction runs becomes the next transaction.

use std::error::Error;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::arrival::{Arrival, Handled};
use crate::coordinator::Inner;
use crate::coordinator::batch::{self, MOST};
use crate::definition::Saga;
use crate::domain::Domain;
use crate::error::SubmitError;

/// Callers that may wait at once; further ones wait for a place.
const CALLERS: usize = 4_096;

type Answer<S> = Result<Vec<Handled<S>>, SubmitError>;

/// One caller's arrivals.
struct Call<S: Saga> {
    arrivals: Vec<Arrival<S>>,
    answer: oneshot::Sender<Answer<S>>,
}

/// The two ends of the queue.
pub(super) struct Queue<S: Saga> {
    calls: mpsc::Sender<Call<S>>,
    taken: Mutex<mpsc::Receiver<Call<S>>>,
}

impl<S: Saga> Queue<S> {
    pub(super) fn new() -> Self {
        let (calls, taken) = mpsc::channel(CALLERS);
        Self { calls, taken: Mutex::new(taken) }
    }

    pub(super) async fn submit(&self, arrivals: Vec<Arrival<S>>) -> Answer<S> {
        if arrivals.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call { arrivals, answer }).await.map_err(|_| SubmitError::Stopped)?;
        answered.await.map_err(|_| SubmitError::Stopped)?
    }
}

/// Works until the shutdown, then finishes what was submitted before it.
pub(super) async fn run<S: Saga, D: Domain<S>>(inner: &Inner<S, D>, shutdown: CancellationToken) {
    let mut calls = inner.queue.taken.lock().await;
    let mut next = None;
    loop {
        let first = if next.is_some() {
            next.take()
        } else {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                call = calls.recv() => call,
                () = inner.timers.elapsed(|| inner.clock.now()) => None,
            }
        };
        let together = gather(first, &mut next, &mut calls);
        let due = how_many_due(inner).await;
        if !together.is_empty() || due > 0 {
            serve(inner, together, due).await;
        }
    }
    calls.close();
    while let Some(first) = next.take().or_else(|| calls.try_recv().ok()) {
        let together = gather(Some(first), &mut next, &mut calls);
        serve(inner, together, 0).await;
    }
}

/// The first call and those that wait behind it, as far as they fit into one transaction. Does not wait for more.
fn gather<S: Saga>(first: Option<Call<S>>, next: &mut Option<Call<S>>, calls: &mut mpsc::Receiver<Call<S>>) -> Vec<Call<S>> {
    let mut together: Vec<Call<S>> = first.into_iter().collect();
    let mut arrivals: usize = together.iter().map(|call| call.arrivals.len()).sum();
    while arrivals < MOST {
        let Ok(call) = calls.try_recv() else { break };
        arrivals += call.arrivals.len();
        if arrivals > MOST && !together.is_empty() {
            *next = Some(call);
            break;
        }
        together.push(call);
    }
    together
}

/// How many due sagas to take along. Looks at the table only when it is time to.
async fn how_many_due<S: Saga, D: Domain<S>>(inner: &Inner<S, D>) -> usize {
    let now = inner.clock.now();
    if !inner.timers.is_time(now) {
        return 0;
    }
    match inner.timers.is_due(&inner.db, &inner.owner, now).await {
        Ok(due) => {
            if due {
                MOST
            } else {
                0
            }
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, saga.name = S::NAME, "cannot look for due sagas; trying again");
            0
        }
    }
}

/// One transaction for all these callers and timers, and an answer for each caller.
async fn serve<S: Saga, D: Domain<S>>(inner: &Inner<S, D>, calls: Vec<Call<S>>, due: usize) {
    let mut arrivals = Vec::new();
    let mut callers = Vec::with_capacity(calls.len());
    for call in calls {
        callers.push((call.arrivals.len(), call.answer));
        arrivals.extend(call.arrivals);
    }
    match batch::handle(inner, &arrivals, due).await {
        Ok(handled) => {
            let mut handled = handled.into_iter();
            for (arrivals, answer) in callers {
                // A caller that has stopped waiting needs no answer.
                answer.send(Ok(handled.by_ref().take(arrivals).collect())).ok();
            }
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn Error,
                saga.name = S::NAME,
                arrivals = arrivals.len(),
                due,
                "the database of sagas is unwell; nothing was handled"
            );
            let error = Arc::new(error);
            for (_, answer) in callers {
                answer.send(Err(SubmitError::Unavailable(Arc::clone(&error)))).ok();
            }
        }
    }
}
