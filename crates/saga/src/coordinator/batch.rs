//! One transaction, and the halving that finds what is to blame when it fails.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use homeward_chassis::boundary;
use homeward_chassis::boundary::Mark;
use homeward_messaging::Batch;
use homeward_store::{Tx, transaction};
use homeward_types::Timestamp;
use homeward_types::limits::after;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::arrival::{Applied, Arrival, Handled, Refusal};
use crate::coordinator::work::{Left, Noted, Work, panic_message};
use crate::coordinator::{Inner, spans};
use crate::definition::Saga;
use crate::domain::Domain;
use crate::error::SagaError;
use crate::timers;

/// Most arrivals, and most due sagas, in one transaction: locks are held for milliseconds.
pub(super) const MOST: usize = 500;

/// How often the domain may answer with further inputs in one transaction.
const ROUNDS: usize = 100;

/// How often a transaction runs again because somebody else stored a row that it had read.
const RACES: usize = 5;

/// How long a timer rests that could not be handled. It is reported each time.
const POSTPONED: Duration = Duration::from_mins(1);

/// A transaction that is committed.
struct Done<S: Saga> {
    handled: Vec<Handled<S>>,
    applied: Vec<Applied<S>>,
    messages: Batch,
    due_at: Option<Timestamp>,
    left: Vec<Left>,
    spans: Vec<Span>,
    /// The states whose events are being committed; ends with the commit.
    commit: Vec<Mark>,
    /// What follows for sagas that other coordinators hold.
    later: Vec<Arrival<S>>,
}

/// Handles arrivals in order, at most [`MOST`] in a transaction; with the first of them, up to `due` due sagas.
pub(super) async fn handle<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    arrivals: &[Arrival<S>],
    mut due: usize,
) -> Result<Vec<Handled<S>>, SagaError> {
    if arrivals.is_empty() && due > 0 {
        with_due(inner, &[], due).await?;
    }
    let mut handled = Vec::with_capacity(arrivals.len());
    for chunk in arrivals.chunks(MOST) {
        handled.extend(with_due(inner, chunk, std::mem::take(&mut due)).await?.0);
    }
    Ok(handled)
}

/// Ticks what is due, batch by batch.
pub(super) async fn tick<S: Saga, D: Domain<S>>(inner: &Inner<S, D>) -> Result<usize, SagaError> {
    let mut ticked = 0;
    while inner.timers.is_due(&inner.db, &inner.owner, inner.clock.now()).await? {
        let claimed = with_due(inner, &[], MOST).await?.1;
        if claimed == 0 {
            break;
        }
        ticked += claimed;
    }
    Ok(ticked)
}

/// Handles arrivals and up to `due` due sagas in one transaction, by halves if it fails. Says how many were due.
async fn with_due<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    arrivals: &[Arrival<S>],
    due: usize,
) -> Result<(Vec<Handled<S>>, usize), SagaError> {
    let mut claimed = Vec::new();
    let whole = run(inner, arrivals, due, &mut claimed).await;
    let ticks: Vec<Arrival<S>> = claimed.iter().map(|id| Arrival::Tick { id: *id }).collect();
    let (handled, ticked) = match whole {
        Ok(mut handled) => {
            let ticked = handled.split_off(arrivals.len());
            (handled, ticked)
        }
        Err(error) if error.is_infrastructure() => return Err(error),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                arrivals = arrivals.len(),
                due = ticks.len(),
                "a batch of sagas failed; trying its halves"
            );
            // The timers are a half of their own, and they do not hold the arrivals up.
            (by_halves(inner, arrivals, error).await?, each_half(inner, &ticks).await?)
        }
    };
    if due > 0 {
        inner.timers.claimed(claimed.len(), inner.clock.now());
    }
    postpone_failed(inner, &claimed, &ticked).await?;
    Ok((handled, claimed.len()))
}

/// Splits what failed as a whole, again and again, until what is to blame stands alone.
async fn by_halves<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    arrivals: &[Arrival<S>],
    failure: SagaError,
) -> Result<Vec<Handled<S>>, SagaError> {
    if let [_] = arrivals {
        return Ok(vec![Handled::Refused(Refusal::Failed(Arc::new(failure)))]);
    }
    let (first, second) = arrivals.split_at(arrivals.len() / 2);
    let mut handled = each_half(inner, first).await?;
    handled.extend(each_half(inner, second).await?);
    Ok(handled)
}

async fn each_half<S: Saga, D: Domain<S>>(inner: &Inner<S, D>, arrivals: &[Arrival<S>]) -> Result<Vec<Handled<S>>, SagaError> {
    if arrivals.is_empty() {
        return Ok(Vec::new());
    }
    match run(inner, arrivals, 0, &mut Vec::new()).await {
        Ok(handled) => Ok(handled),
        Err(error) if error.is_infrastructure() => Err(error),
        Err(error) => Box::pin(by_halves(inner, arrivals, error)).await,
    }
}

/// A timer that cannot be handled must not come up again at once, and for ever.
async fn postpone_failed<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    claimed: &[Uuid],
    ticked: &[Handled<S>],
) -> Result<(), SagaError> {
    let mut failed = Vec::new();
    for (id, handled) in claimed.iter().zip(ticked) {
        let reason = match handled {
            Handled::Done { .. } | Handled::Missing => continue,
            Handled::Unknown(unknown) => homeward_chassis::error_chain(unknown),
            Handled::Refused(refusal) => homeward_chassis::error_chain(refusal),
        };
        tracing::error!(saga.id = %id, saga.name = S::NAME, reason, again_in_s = POSTPONED.as_secs(), "a saga is due and cannot be handled");
        failed.push(*id);
    }
    if failed.is_empty() {
        return Ok(());
    }
    inner.metrics.unhandled(failed.len());
    let until = after(inner.clock.now(), POSTPONED);
    transaction!(inner.db, "saga.postpone", async |tx| -> Result<(), SagaError> {
        Ok(timers::postpone(tx, &failed, until).await?)
    })
}

/// One transaction, run again while somebody else is faster, and what follows its commit.
async fn run<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    arrivals: &[Arrival<S>],
    due: usize,
    claimed: &mut Vec<Uuid>,
) -> Result<Vec<Handled<S>>, SagaError> {
    let span = spans::run::<S>(arrivals.len());
    let mut races = 0;
    let done = loop {
        match attempt(inner, arrivals, due, claimed).instrument(span.clone()).await {
            Err(SagaError::Raced { .. }) if races < RACES => races += 1,
            // A new saga may be there by now, with the domain's rows: then it is a repeat.
            Err(error) if error.is_unique_violation() && races == 0 => races = RACES,
            ended => break ended?,
        }
    };
    drop((done.commit, done.spans));
    spans::link(&span, &done.applied);
    inner.metrics.left(&done.left);
    if let Some(due_at) = done.due_at {
        inner.timers.stored(due_at);
    }
    inner.outbox.publish(done.messages);
    inner.domain.committed(&done.applied);
    if !done.later.is_empty() {
        tell_later(inner, &done.later).await;
    }
    Ok(done.handled)
}

/// What follows for sagas that were in other hands, in a transaction of its own that may wait for them. If that fails, or we die
/// before it, their own re-ask brings it up again.
async fn tell_later<S: Saga, D: Domain<S>>(inner: &Inner<S, D>, later: &[Arrival<S>]) {
    match Box::pin(each_half(inner, later)).await {
        Ok(handled) => {
            for (arrival, handled) in later.iter().zip(handled) {
                if !matches!(handled, Handled::Done { .. }) {
                    tracing::warn!(saga.id = %arrival.id(), "an input follows for a saga that does not exist, or is not ours to move");
                }
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            sagas = later.len(),
            "what follows for sagas in other hands is told when they ask again"
        ),
    }
}

async fn attempt<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    arrivals: &[Arrival<S>],
    due: usize,
    claimed: &mut Vec<Uuid>,
) -> Result<Done<S>, SagaError> {
    transaction!(inner.db, "saga.handle", async |tx| -> Result<Done<S>, SagaError> {
        let now = inner.clock.now();
        let mut work = Work::new(&inner.registry, now);
        // First what may have to be waited for, in id order; then what is free anyway. So two coordinators cannot wait for each other.
        work.load(tx, arrivals.iter().map(Arrival::id)).await?;
        claimed.clear();
        if due > 0 {
            claimed.extend(timers::claim(tx, &inner.owner, now, due).await?);
            work.load(tx, claimed.iter().copied()).await?;
        }
        let mut applied = Vec::new();
        let ticks: Vec<Arrival<S>> = claimed.iter().map(|id| Arrival::Tick { id: *id }).collect();
        let noted: Vec<Noted> = arrivals.iter().chain(&ticks).map(|arrival| work.take(arrival, &mut applied)).collect();
        let mut messages = inner.outbox.batch();
        let mut later = Vec::new();
        let carried = carry_out(inner, tx, &mut work, &mut applied, &mut messages, &mut later).await;
        if carried.is_err() {
            spans::undone(&work.spans);
        }
        carried?;
        let states: BTreeSet<&str> = applied.iter().map(Applied::state).collect();
        let commit = states.into_iter().map(|state| boundary!("commit", format_args!("{}.{state}", S::NAME))).collect();
        let handled = noted.into_iter().map(|noted| work.answer(noted)).collect();
        let Work { due_at, left, spans, .. } = work;
        Ok(Done { handled, applied, messages, due_at, left, spans, commit, later })
    })
}

/// Lets the domain act on what changed, and on what follows from that, then writes everything.
async fn carry_out<S: Saga, D: Domain<S>>(
    inner: &Inner<S, D>,
    tx: &mut Tx,
    work: &mut Work<'_, S>,
    applied: &mut Vec<Applied<S>>,
    messages: &mut Batch,
    later: &mut Vec<Arrival<S>>,
) -> Result<(), SagaError> {
    let mut from = 0;
    for _ in 0..ROUNDS {
        if from == applied.len() {
            work.write(tx).await?;
            messages.store(tx).await?;
            return Ok(());
        }
        let acting = AssertUnwindSafe(inner.domain.apply(tx, &applied[from..], messages)).catch_unwind();
        let follows = acting
            .await
            .map_err(|panic| SagaError::Panicked { doing: "carrying out a decision", message: panic_message(&*panic) })??;
        from = applied.len();
        // The domain may hold rows that another coordinator waits for with these sagas in hand: so we do not wait for those.
        work.load_free(tx, follows.iter().map(Arrival::id)).await?;
        let (ours, others): (Vec<_>, Vec<_>) =
            follows.into_iter().partition(|arrival| matches!(arrival, Arrival::New { .. }) || work.knows(arrival.id()));
        later.extend(others);
        for arrival in &ours {
            match work.take(arrival, applied) {
                Noted::Planned { .. } => {}
                Noted::Missing => tracing::warn!(saga.id = %arrival.id(), "an input follows for a saga that does not exist"),
                Noted::Unknown(unknown) => {
                    tracing::warn!(saga.id = %arrival.id(), reason = %unknown, "an input follows for a saga that is not ours to move");
                }
                // It was decided here, so losing it is not an option: the whole transaction is undone.
                Noted::Refused(refusal) => return Err(SagaError::domain(refusal)),
            }
        }
    }
    Err(SagaError::Circle { rounds: ROUNDS })
}
