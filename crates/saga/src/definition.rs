//! What a saga is made of: data, facts, steps in order, and the one way out that is guarded.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use homeward_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A saga's own types and the rules that hold in every state.
pub trait Saga: Send + Sync + Sized + 'static {
    /// Stored with each row; a row runs under the definition that it began with.
    const NAME: &'static str;
    /// Raised when stored data or the order of steps changes.
    const VERSION: u32;

    /// All that the saga knows. Pure data, so that a model checker can enumerate it.
    type Data: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync;
    /// A fact that comes in: somebody's act, or an event.
    type Input: Clone + Eq + Hash + Debug + Send + Sync;
    /// What the saga asks of others.
    type Command: Clone + Eq + Hash + Debug + Send + Sync;
    /// Why a step failed.
    type Reason: Clone + Eq + Hash + Debug + Send + Sync;

    /// The steps, in order.
    fn definition(&self) -> &Definition<Self>;

    /// Notes `input` as a fact. Called in every state, before the present step is asked.
    fn note(&self, data: &mut Self::Data, input: &Self::Input, now: Timestamp) -> Noted;

    /// A reason to leave whatever step is running before the guarding one: cancelled, repudiated.
    fn way_out(&self, data: &Self::Data) -> Option<Self::Reason>;

    /// Whether something may exist that only the guarding step can end, wherever the saga believes to be.
    ///
    /// While this holds and the guarding step is not over, a saga that fails, stands further down or is closed goes
    /// (back) to the guarding step.
    fn needs_guard(&self, data: &Self::Data) -> bool;

    /// Notes that `step` failed for `reason`. The first failure decides the outcome.
    fn failed(&self, data: &mut Self::Data, step: &'static str, reason: Self::Reason);

    /// The reason that stands for a deadline that passed.
    fn too_late(&self, step: &'static str) -> Self::Reason;
}

/// What noting an input came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noted {
    /// A repeat, or older than what is known: nothing changed.
    Old,
    /// Something new is known.
    New,
    /// Something new is known, and what the present step asked for must be asked again now.
    AskAgain,
}

/// Whether a step is over, given all that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict<R> {
    /// Not yet.
    Stay,
    /// It is; go on.
    Done,
    /// It cannot be done. From the guard on this leads to the guarding step; for the guarding step and later ones, which
    /// are never given up, it means [`Verdict::Stay`].
    Fail(R),
}

/// How a step is undone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Compensation<C> {
    /// By this command; repeating it must be harmless, also when the step was only half done.
    Command(C),
    /// There is nothing to undo, and this is why.
    Nothing(&'static str),
}

/// Asking again: the same command, same idempotency key, new message, until answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReAsk {
    /// First wait; doubles.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
}

/// When a step wants to be woken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// When the step fails with [`Saga::too_late`] if it is not over. Means nothing from the guarding step on.
    pub deadline: Option<Timestamp>,
    /// When to remind, ascending.
    pub reminders: Vec<Timestamp>,
    /// How to ask again.
    pub re_ask: Option<ReAsk>,
}

/// One named step: pure functions of the saga's data.
pub trait Step<S: Saga>: Send + Sync {
    /// Stored; verb-object in kebab-case. Steps are found by name, never by position.
    fn name(&self) -> &'static str;

    /// What to ask, on entry and each time that it is asked again; empty when the step only waits.
    fn commands(&self, data: &S::Data) -> Vec<S::Command>;

    /// Whether the step is over. Asked on entry too, before anything is sent: what is done already is not asked for.
    fn verdict(&self, data: &S::Data) -> Verdict<S::Reason>;

    /// Deadline, reminders, re-ask. `entered_at` is when the step began.
    fn schedule(&self, data: &S::Data, entered_at: Timestamp) -> Schedule;

    /// What reminder number `n` (from 0) sends.
    fn reminder(&self, _data: &S::Data, _n: usize) -> Vec<S::Command> {
        Vec::new()
    }

    /// What is sent when the step is done.
    fn done(&self, _data: &S::Data) -> Vec<S::Command> {
        Vec::new()
    }

    /// How the step is undone, if a later one (or this one, half done) fails before the guard.
    fn compensation(&self, data: &S::Data) -> Compensation<S::Command>;
}

/// The steps of a saga in order, and the guard.
pub struct Definition<S: Saga> {
    steps: Vec<Box<dyn Step<S>>>,
    guard: usize,
    guarding: &'static str,
}

impl<S: Saga> Default for Definition<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Saga> Definition<S> {
    /// No steps yet.
    pub fn new() -> Self {
        Self { steps: Vec::new(), guard: usize::MAX, guarding: "" }
    }

    /// Adds the next step.
    #[must_use]
    pub fn step(mut self, step: impl Step<S> + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// From here on every way out leads through the step called `guarding`, which stands further down.
    #[must_use]
    pub fn guarded_by(mut self, guarding: &'static str) -> Self {
        self.guard = self.steps.len();
        self.guarding = guarding;
        self
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Box<dyn Step<S>>] {
        &self.steps
    }

    /// The position of the step called `name`, if there is one.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name() == name)
    }

    /// The position of the first guarded step.
    pub fn guard(&self) -> usize {
        self.guard
    }

    /// The position of the guarding step; the last one when nothing is guarded.
    pub fn guarding(&self) -> usize {
        self.position(self.guarding).unwrap_or(self.last())
    }

    /// The position of the last step, which runs at every end.
    pub fn last(&self) -> usize {
        self.steps.len().saturating_sub(1)
    }

    /// Whether there is a guard at all.
    pub fn is_guarded(&self) -> bool {
        self.guard != usize::MAX
    }

    /// Whether the step at `position` may be given up: one before the guarding step.
    pub fn may_fail(&self, position: usize) -> bool {
        position < self.guarding()
    }

    /// The first sentence about why this cannot work, if any.
    pub fn problem(&self) -> Option<String> {
        if self.steps.is_empty() {
            return Some("it has no steps".to_owned());
        }
        for (position, step) in self.steps.iter().enumerate() {
            let name = step.name();
            let kebab =
                !name.is_empty() && name.split('-').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()));
            if !kebab {
                return Some(format!("step {name:?} must be called in kebab-case, as await-enrolment"));
            }
            if self.position(name) != Some(position) {
                return Some(format!("two steps are called {name:?}"));
            }
        }
        if !self.is_guarded() {
            return None;
        }
        match self.position(self.guarding) {
            None => Some(format!("it is guarded by {:?}, which is not among its steps", self.guarding)),
            Some(guarding) if guarding < self.guard => {
                Some(format!("the guarding step {:?} must stand after the guard", self.guarding))
            }
            Some(_) => None,
        }
    }
}
