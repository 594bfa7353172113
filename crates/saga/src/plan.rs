//! Every decision, and nothing else: no clock, no I/O, no randomness.

use homeward_types::Timestamp;
use homeward_types::limits::{after, backoff};
use serde::{Deserialize, Serialize};

use crate::definition::{Compensation, Definition, Noted, Saga, Step, Verdict};

/// Where a saga is. With the saga's definition this is all that decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress<D> {
    /// The present step's name; `None` when the saga is closed.
    pub step: Option<String>,
    /// When that step was entered.
    pub entered_at: Timestamp,
    /// How often the step's commands were asked again.
    pub asked_again: u32,
    /// When they were last asked.
    pub asked_at: Timestamp,
    /// How many reminders were sent.
    pub reminded: usize,
    /// All that is known.
    pub data: D,
}

/// What makes a saga move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event<I> {
    /// It begins.
    Start,
    /// Somebody acted, or something was reported.
    Input(I),
    /// Time passed: whatever is due by now happens.
    Tick,
}

/// What a saga does about an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Move<D, C> {
    /// Where it is now.
    pub progress: Progress<D>,
    /// What it asks of others, in order.
    pub commands: Vec<C>,
    /// The steps that were entered, in order; empty when it stayed.
    pub entered: Vec<&'static str>,
    /// Whether anything changed that must be stored.
    pub changed: bool,
}

/// The shorthand that the rest of this file works on.
struct Planner<'a, S: Saga> {
    saga: &'a S,
    definition: &'a Definition<S>,
    now: Timestamp,
    progress: Progress<S::Data>,
    commands: Vec<S::Command>,
    entered: Vec<&'static str>,
    changed: bool,
}

impl<D> Progress<D> {
    /// A saga that has not started; hand it [`Event::Start`].
    pub fn fresh(data: D, now: Timestamp) -> Self {
        Self { step: Some(String::new()), entered_at: now, asked_again: 0, asked_at: now, reminded: 0, data }
    }

    /// Whether the saga is over.
    pub fn is_closed(&self) -> bool {
        self.step.is_none()
    }
}

/// When a saga next wants [`Event::Tick`]; `None` when it only waits for inputs or is closed.
pub fn due_at<S: Saga>(saga: &S, progress: &Progress<S::Data>) -> Option<Timestamp> {
    let step = present(saga.definition(), progress)?;
    let schedule = step.schedule(&progress.data, progress.entered_at);
    let re_ask = schedule.re_ask.map(|ask| after(progress.asked_at, backoff(ask.first, ask.longest, progress.asked_again)));
    let reminder = schedule.reminders.get(progress.reminded).copied();
    [schedule.deadline, re_ask, reminder].into_iter().flatten().min()
}

/// Decides what `event` means for a saga at `progress`.
///
/// A step's name that the definition does not hold leaves the saga where it is: it belongs to another version.
pub fn plan<S: Saga>(
    saga: &S,
    progress: &Progress<S::Data>,
    event: &Event<S::Input>,
    now: Timestamp,
) -> Move<S::Data, S::Command> {
    let mut planner = Planner {
        saga,
        definition: saga.definition(),
        now,
        progress: progress.clone(),
        commands: Vec::new(),
        entered: Vec::new(),
        changed: false,
    };
    match event {
        Event::Start => planner.start(),
        Event::Input(input) => planner.input(input),
        Event::Tick => planner.tick(),
    }
    Move { progress: planner.progress, commands: planner.commands, entered: planner.entered, changed: planner.changed }
}

fn present<'a, S: Saga>(definition: &'a Definition<S>, progress: &Progress<S::Data>) -> Option<&'a dyn Step<S>> {
    let position = definition.position(progress.step.as_deref()?)?;
    Some(definition.steps()[position].as_ref())
}

impl<S: Saga> Planner<'_, S> {
    fn start(&mut self) {
        let unstarted = self.progress.step.as_deref() == Some("");
        if unstarted {
            self.enter(0);
            self.settle();
        }
    }

    fn input(&mut self, input: &S::Input) {
        let noted = self.saga.note(&mut self.progress.data, input, self.now);
        match noted {
            Noted::Old => return,
            Noted::New => self.changed = true,
            Noted::AskAgain => self.changed = true,
        }
        let before = self.progress.step.clone();
        self.settle();
        if noted == Noted::AskAgain && self.progress.step == before {
            self.ask_again();
        }
    }

    fn tick(&mut self) {
        let Some(step) = present(self.definition, &self.progress) else { return };
        let schedule = step.schedule(&self.progress.data, self.progress.entered_at);
        // A deadline of the guarding step or a later one means nothing: they are never given up.
        let may_fail = self.definition.position(step.name()) < Some(self.definition.guarding());
        if may_fail && schedule.deadline.is_some_and(|at| at <= self.now) {
            let reason = self.saga.too_late(step.name());
            self.fail(reason);
            self.settle();
            return;
        }
        while schedule.reminders.get(self.progress.reminded).is_some_and(|at| *at <= self.now) {
            self.commands.extend(step.reminder(&self.progress.data, self.progress.reminded));
            self.progress.reminded += 1;
            self.changed = true;
        }
        let due =
            schedule.re_ask.map(|ask| after(self.progress.asked_at, backoff(ask.first, ask.longest, self.progress.asked_again)));
        if due.is_some_and(|at| at <= self.now) {
            self.ask_again();
        }
    }

    fn ask_again(&mut self) {
        if let Some(step) = present(self.definition, &self.progress) {
            self.commands.extend(step.commands(&self.progress.data));
            self.progress.asked_again += 1;
            self.progress.asked_at = self.now;
            self.changed = true;
        }
    }

    /// Goes on as long as the present step is over, given what is known.
    fn settle(&mut self) {
        // Each turn enters a step further down or closes the saga, so the number of steps bounds the turns.
        for _ in 0..=self.definition.steps().len() {
            let Some(position) = self.progress.step.as_deref().and_then(|name| self.definition.position(name)) else { return };
            let step = &self.definition.steps()[position];
            if position < self.definition.guarding()
                && let Some(reason) = self.saga.way_out(&self.progress.data)
            {
                self.fail(reason);
                continue;
            }
            match step.verdict(&self.progress.data) {
                Verdict::Stay => return,
                Verdict::Done => {
                    self.commands.extend(step.done(&self.progress.data));
                    self.enter(position + 1);
                }
                // Forward-only: the guarding step and what follows it have no other end than being done.
                Verdict::Fail(_) if position >= self.definition.guarding() => return,
                Verdict::Fail(reason) => self.fail(reason),
            }
        }
    }

    fn fail(&mut self, reason: S::Reason) {
        let Some(position) = self.progress.step.as_deref().and_then(|name| self.definition.position(name)) else { return };
        if position >= self.definition.guarding() {
            return;
        }
        let name = self.definition.steps()[position].name();
        self.saga.failed(&mut self.progress.data, name, reason);
        if position >= self.definition.guard() || self.saga.needs_guard(&self.progress.data) {
            self.enter(self.definition.guarding());
            return;
        }
        for step in self.definition.steps()[..=position].iter().rev() {
            match step.compensation(&self.progress.data) {
                Compensation::Command(command) => self.commands.push(command),
                Compensation::Nothing(_) => {}
            }
        }
        self.enter(self.definition.last());
    }

    /// Enters the step at `position`, or closes the saga when there is none.
    fn enter(&mut self, position: usize) {
        self.changed = true;
        self.progress.entered_at = self.now;
        self.progress.asked_at = self.now;
        self.progress.asked_again = 0;
        self.progress.reminded = 0;
        let Some(step) = self.definition.steps().get(position) else {
            self.progress.step = None;
            return;
        };
        self.progress.step = Some(step.name().to_owned());
        self.entered.push(step.name());
        let already_over = step.verdict(&self.progress.data) != Verdict::Stay;
        let leaving = position < self.definition.guarding() && self.saga.way_out(&self.progress.data).is_some();
        if !already_over && !leaving {
            self.commands.extend(step.commands(&self.progress.data));
        }
    }
}
