//! Every decision, and nothing else: no clock, no I/O, no randomness.

use std::time::Duration;

use homeward_types::Timestamp;
use homeward_types::limits::{after, backoff};
use serde::{Deserialize, Serialize};

use crate::definition::{Compensation, Definition, Noted, ReAsk, Saga, Schedule, Step, Verdict};

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

/// The shortest wait between two askings, so that a saga cannot be due without end.
const SHORTEST_RE_ASK: Duration = Duration::from_millis(1);

/// When a saga next wants [`Event::Tick`]; `None` when it only waits for inputs or is closed.
///
/// Once that moment is there, a tick moves the saga on or moves this moment on.
pub fn due_at<S: Saga>(saga: &S, progress: &Progress<S::Data>) -> Option<Timestamp> {
    let (position, step) = present(saga.definition(), progress)?;
    let schedule = step.schedule(&progress.data, progress.entered_at);
    let deadline = schedule.deadline.filter(|_| saga.definition().may_fail(position));
    let reminder = schedule.reminders.get(progress.reminded).copied();
    [deadline, re_ask_at(&schedule, progress), reminder].into_iter().flatten().min()
}

fn re_ask_at<D>(schedule: &Schedule, progress: &Progress<D>) -> Option<Timestamp> {
    let wait = |ask: ReAsk| backoff(ask.first, ask.longest, progress.asked_again).max(SHORTEST_RE_ASK);
    schedule.re_ask.map(|ask| after(progress.asked_at, wait(ask)))
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

fn present<'a, S: Saga>(definition: &'a Definition<S>, progress: &Progress<S::Data>) -> Option<(usize, &'a dyn Step<S>)> {
    let position = definition.position(progress.step.as_deref()?)?;
    Some((position, definition.steps()[position].as_ref()))
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
            Noted::New | Noted::AskAgain => self.changed = true,
        }
        let entered = self.entered.len();
        self.settle();
        if noted == Noted::AskAgain && self.entered.len() == entered {
            self.ask_again();
        }
    }

    fn tick(&mut self) {
        // What is over by now does not fail for being late: another version of the program may have noted it.
        self.settle();
        if self.changed {
            return;
        }
        let Some((position, step)) = present(self.definition, &self.progress) else { return };
        let schedule = step.schedule(&self.progress.data, self.progress.entered_at);
        if self.definition.may_fail(position) && schedule.deadline.is_some_and(|at| at <= self.now) {
            self.fail(position, self.saga.too_late(step.name()));
            self.settle();
            return;
        }
        while schedule.reminders.get(self.progress.reminded).is_some_and(|at| *at <= self.now) {
            self.commands.extend(step.reminder(&self.progress.data, self.progress.reminded));
            self.progress.reminded += 1;
            self.changed = true;
        }
        if re_ask_at(&schedule, &self.progress).is_some_and(|at| at <= self.now) {
            self.ask_again();
        }
    }

    fn ask_again(&mut self) {
        if let Some((_, step)) = present(self.definition, &self.progress) {
            self.commands.extend(step.commands(&self.progress.data));
            self.progress.asked_again = self.progress.asked_again.saturating_add(1);
            self.progress.asked_at = self.now;
            self.changed = true;
        }
    }

    /// Goes on as long as the present step is over, given what is known.
    fn settle(&mut self) {
        self.go_back_to_the_guard();
        // Each turn enters a step further down or closes the saga, so the number of steps bounds the turns.
        for _ in 0..=self.definition.steps().len() {
            let Some((position, step)) = present(self.definition, &self.progress) else { return };
            if let Some(reason) = self.reason_to_leave(position) {
                self.fail(position, reason);
                continue;
            }
            match self.verdict(position, step) {
                Verdict::Done => {
                    self.commands.extend(step.done(&self.progress.data));
                    self.enter(position + 1);
                }
                Verdict::Fail(reason) => self.fail(position, reason),
                Verdict::Stay => return,
            }
        }
    }

    /// A fact that comes late may show that there is something to end after all, though the saga is past that or closed.
    fn go_back_to_the_guard(&mut self) {
        if !self.definition.is_guarded() {
            return;
        }
        let guarding = self.definition.guarding();
        let past = match self.progress.step.as_deref() {
            None => true,
            Some(name) => self.definition.position(name).is_some_and(|position| position > guarding),
        };
        if past && self.saga.needs_guard(&self.progress.data) {
            let open =
                self.definition.steps().get(guarding).is_some_and(|step| step.verdict(&self.progress.data) != Verdict::Done);
            if open {
                self.enter(guarding);
            }
        }
    }

    fn reason_to_leave(&self, position: usize) -> Option<S::Reason> {
        if self.definition.may_fail(position) { self.saga.way_out(&self.progress.data) } else { None }
    }

    /// Forward-only: the guarding step and what follows it have no other end than being done.
    fn verdict(&self, position: usize, step: &dyn Step<S>) -> Verdict<S::Reason> {
        match step.verdict(&self.progress.data) {
            Verdict::Fail(_) if !self.definition.may_fail(position) => Verdict::Stay,
            verdict @ (Verdict::Stay | Verdict::Done | Verdict::Fail(_)) => verdict,
        }
    }

    fn fail(&mut self, position: usize, reason: S::Reason) {
        self.saga.failed(&mut self.progress.data, self.definition.steps()[position].name(), reason);
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
        let stays = self.verdict(position, step.as_ref()) == Verdict::Stay && self.reason_to_leave(position).is_none();
        if stays {
            self.commands.extend(step.commands(&self.progress.data));
        }
    }
}
