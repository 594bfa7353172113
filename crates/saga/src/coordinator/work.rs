//! One transaction's view of its sagas: loaded rows, decisions on them, and what is to be written.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use homeward_chassis::telemetry::TraceContext;
use homeward_store::{StoreError, Tx};
use homeward_types::{MessageId, Timestamp};
use tracing::Span;
use uuid::Uuid;

use crate::arrival::{Applied, Arrival, Handled, Refusal, UnknownDefinition};
use crate::coordinator::row::Row;
use crate::coordinator::spans;
use crate::definition::Saga;
use crate::error::SagaError;
use crate::plan::{Event, due_at, plan};
use crate::registry::Registry;
use crate::store::{self, Born};

/// What an id stands for.
enum Slot<S: Saga> {
    Ready(Row<S>),
    Unknown(UnknownDefinition),
    Unreadable(String),
}

/// What became of an arrival, as long as the transaction is open.
pub(super) enum Noted {
    Planned { id: Uuid, changed: bool },
    Missing,
    Unknown(UnknownDefinition),
    Refused(Refusal),
}

/// A step that a saga left, and how long it was there.
pub(super) struct Left {
    pub(super) step: String,
    pub(super) seconds: f64,
}

/// What a decision came to.
struct Decision<S: Saga> {
    applied: Applied<S>,
    span: Span,
    left: Option<Left>,
}

/// All that one run of the transaction knows.
pub(super) struct Work<'a, S: Saga> {
    registry: &'a Registry<S>,
    now: Timestamp,
    slots: BTreeMap<Uuid, Option<Slot<S>>>,
    /// One for each change, open until the transaction has ended.
    pub(super) spans: Vec<Span>,
    /// Steps that were left.
    pub(super) left: Vec<Left>,
    /// When the earliest of the written sagas is due.
    pub(super) due_at: Option<Timestamp>,
}

impl<'a, S: Saga> Work<'a, S> {
    pub(super) fn new(registry: &'a Registry<S>, now: Timestamp) -> Self {
        Self { registry, now, slots: BTreeMap::new(), spans: Vec::new(), left: Vec::new(), due_at: None }
    }

    /// Loads and locks the sagas of these arrivals that are not loaded yet.
    pub(super) async fn load(&mut self, tx: &mut Tx, arrivals: impl Iterator<Item = Uuid>) -> Result<(), StoreError> {
        let ids = self.missing(arrivals);
        let stored = store::load(tx, &ids).await?;
        self.keep_rows(stored);
        for id in ids {
            self.slots.entry(id).or_insert(None);
        }
        Ok(())
    }

    /// Loads and locks those of these sagas that nobody else holds.
    pub(super) async fn load_free(&mut self, tx: &mut Tx, arrivals: impl Iterator<Item = Uuid>) -> Result<(), StoreError> {
        let ids = self.missing(arrivals);
        if !ids.is_empty() {
            let stored = store::load_free(tx, &ids).await?;
            self.keep_rows(stored);
        }
        Ok(())
    }

    /// Whether it was looked for.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.slots.contains_key(&id)
    }

    fn missing(&self, arrivals: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = arrivals.filter(|id| !self.slots.contains_key(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn keep_rows(&mut self, rows: Vec<store::Stored>) {
        for stored in rows {
            let id = stored.id;
            let slot = match Row::of(stored, self.registry) {
                Ok(Ok(row)) => Slot::Ready(row),
                Ok(Err(unknown)) => Slot::Unknown(unknown),
                Err(error) => Slot::Unreadable(homeward_chassis::error_chain(&error)),
            };
            self.slots.insert(id, Some(slot));
        }
    }

    /// Decides what an arrival means. What changed is added to `applied`.
    pub(super) fn take(&mut self, arrival: &Arrival<S>, applied: &mut Vec<Applied<S>>) -> Noted {
        let id = arrival.id();
        let (event, cause) = match arrival {
            Arrival::New { data, trace, .. } => return self.begin(id, data, trace, applied),
            Arrival::Input { input, cause, .. } => (Event::Input(input.clone()), *cause),
            Arrival::Tick { .. } => (Event::Tick, None),
        };
        match self.slots.get_mut(&id) {
            Some(Some(Slot::Ready(row))) => match decide(self.registry, id, row, event, cause, self.now) {
                Ok(None) => Noted::Planned { id, changed: false },
                Ok(Some(decision)) => {
                    self.keep(decision, applied);
                    Noted::Planned { id, changed: true }
                }
                Err(refusal) => Noted::Refused(refusal),
            },
            Some(Some(Slot::Unknown(unknown))) => Noted::Unknown(unknown.clone()),
            Some(Some(Slot::Unreadable(reason))) => Noted::Refused(Refusal::Unreadable(reason.clone())),
            Some(None) | None => Noted::Missing,
        }
    }

    fn begin(&mut self, id: Uuid, data: &S::Data, trace: &TraceContext, applied: &mut Vec<Applied<S>>) -> Noted {
        match self.slots.get(&id) {
            Some(Some(Slot::Ready(_))) => return Noted::Planned { id, changed: false },
            Some(Some(Slot::Unknown(unknown))) => return Noted::Unknown(unknown.clone()),
            Some(Some(Slot::Unreadable(reason))) => return Noted::Refused(Refusal::Unreadable(reason.clone())),
            Some(None) | None => {}
        }
        let mut row = Row::new(data.clone(), trace.clone(), self.now);
        match decide(self.registry, id, &mut row, Event::Start, None, self.now) {
            Ok(None) => Noted::Refused(Refusal::Panicked("a new saga did not start".to_owned())),
            Ok(Some(decision)) => {
                self.keep(decision, applied);
                self.slots.insert(id, Some(Slot::Ready(row)));
                Noted::Planned { id, changed: true }
            }
            Err(refusal) => Noted::Refused(refusal),
        }
    }

    fn keep(&mut self, decision: Decision<S>, applied: &mut Vec<Applied<S>>) {
        self.spans.push(decision.span);
        self.left.extend(decision.left);
        applied.push(decision.applied);
    }

    /// Writes every saga that changed: one statement for the new ones, one for the others.
    pub(super) async fn write(&mut self, tx: &mut Tx) -> Result<(), SagaError> {
        let (mut born, mut writes) = (Vec::new(), Vec::new());
        for (id, slot) in &mut self.slots {
            let Some(Slot::Ready(row)) = slot else { continue };
            if !row.changed {
                continue;
            }
            let write = row.written(*id, self.now)?;
            self.due_at = [self.due_at, write.due_at].into_iter().flatten().min();
            if row.row_version == 0 {
                born.push(Born { version: i64::from(row.version), trace: row.trace.clone(), write });
            } else {
                writes.push(write);
            }
        }
        let mut stored = 0;
        if !born.is_empty() {
            stored += store::insert(tx, S::NAME, self.now, &born).await?;
        }
        if !writes.is_empty() {
            stored += store::update(tx, &writes).await?;
        }
        let missed = u64::try_from(born.len() + writes.len()).unwrap_or(u64::MAX).saturating_sub(stored);
        if missed == 0 { Ok(()) } else { Err(SagaError::Raced { missed }) }
    }

    /// The answer to an arrival, now that the transaction is committed.
    pub(super) fn answer(&self, noted: Noted) -> Handled<S> {
        match noted {
            Noted::Planned { id, changed } => match self.slots.get(&id) {
                Some(Some(Slot::Ready(row))) => Handled::Done { changed, progress: Arc::clone(&row.progress) },
                Some(Some(Slot::Unknown(_) | Slot::Unreadable(_)) | None) | None => Handled::Missing,
            },
            Noted::Missing => Handled::Missing,
            Noted::Unknown(unknown) => Handled::Unknown(unknown),
            Noted::Refused(refusal) => Handled::Refused(refusal),
        }
    }
}

/// One decision; a panic in it concerns this arrival alone.
fn decide<S: Saga>(
    registry: &Registry<S>,
    id: Uuid,
    row: &mut Row<S>,
    event: Event<S::Input>,
    cause: Option<MessageId>,
    now: Timestamp,
) -> Result<Option<Decision<S>>, Refusal> {
    let Some(saga) = registry.get(row.version) else {
        return Err(Refusal::Unreadable(format!("no definition of version {}", row.version)));
    };
    let deciding = || {
        let moved = plan(saga, &row.progress, &event, now);
        let due = if moved.changed { due_at(saga, &moved.progress) } else { None };
        (moved, due)
    };
    let decided = catch_unwind(AssertUnwindSafe(deciding));
    let (moved, due) = decided.map_err(|panic| Refusal::Panicked(panic_message(&*panic)))?;
    if !moved.changed {
        return Ok(None);
    }
    let new = row.row_version == 0 && event == Event::Start;
    let from = if new { None } else { row.progress.step.clone() };
    let moved_on = moved.progress.step != row.progress.step;
    let left =
        from.clone().filter(|_| moved_on).map(|step| Left { step, seconds: seconds_between(row.progress.entered_at, now) });
    row.progress = Arc::new(moved.progress);
    row.due_at = due;
    row.changed = true;
    let span = spans::step::<S>(id, row.version, from.as_deref(), &row.progress, &row.trace);
    let trace = spans::context(&span, &row.trace);
    let applied = Applied {
        id,
        version: row.version,
        event,
        cause,
        from,
        progress: Arc::clone(&row.progress),
        commands: moved.commands,
        entered: moved.entered,
        trace,
        row_version: row.row_version + 1,
    };
    Ok(Some(Decision { applied, span, left }))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a step are far below 2^52")]
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).num_milliseconds().max(0) as f64 / 1_000.0
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
