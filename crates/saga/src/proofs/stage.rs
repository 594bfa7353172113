//! The stage: one saga, and everything around it that survives a crash.

use std::collections::{BTreeSet, VecDeque};

use homeward_types::Timestamp;

use crate::definition::{Saga, Verdict};
use crate::plan::{Event, Move, Progress, due_at, plan};
use crate::proofs::queue::Queue;
use crate::proofs::story::{Story, Trouble, When};
use crate::proofs::{Rehearsal, laws};

type DataOf<R> = <<R as Rehearsal>::Saga as Saga>::Data;
type InputOf<R> = <<R as Rehearsal>::Saga as Saga>::Input;
type CommandOf<R> = <<R as Rehearsal>::Saga as Saga>::Command;

/// More actions than any story needs; one that needs more goes in a circle.
const ACTIONS: usize = 5_000;

/// How often a silent step is ticked as it wants; then its whole time passes at once, and if it still stands it is heard again.
const SILENT_TICKS: usize = 3;

/// A message under way, with the number of its outbox row.
type Numbered<T> = (usize, T);

pub(super) struct Stage<'r, R: Rehearsal> {
    rehearsal: &'r R,
    story: &'r Story<R::Saga>,
    // What survives a crash.
    progress: Progress<DataOf<R>>,
    outbox: VecDeque<Numbered<CommandOf<R>>>,
    under_way: Queue<Numbered<CommandOf<R>>>,
    mailbox: Queue<InputOf<R>>,
    world: R::World,
    // What the story needs to know.
    now: Timestamp,
    crossings: usize,
    hit: Option<(&'static str, String)>,
    trouble_is_over: bool,
    told_once: bool,
    silent_ticks: usize,
    acted_at: Option<String>,
    // What is checked at the end.
    issued: usize,
    carried_out: BTreeSet<usize>,
    commands: Vec<CommandOf<R>>,
    inputs: Vec<InputOf<R>>,
    entered: Vec<&'static str>,
    failed_at: BTreeSet<String>,
    decisions: usize,
    log: Option<&'r mut Vec<String>>,
}

/// A story that was told.
pub(super) struct Told<S: Saga> {
    pub(super) entered: Vec<&'static str>,
    /// Each command of the story once.
    pub(super) commands: Vec<S::Command>,
    /// The boundaries that it crossed until everything had been said once.
    pub(super) crossings: usize,
    /// The boundary and the step at which it crashed.
    pub(super) hit: Option<(&'static str, String)>,
    pub(super) failed_at: BTreeSet<String>,
    pub(super) decisions: usize,
}

/// Everything that was not stored is gone.
struct Crashed;

impl<'r, R: Rehearsal> Stage<'r, R> {
    /// A stage that writes down what happens if there is a `log`.
    pub(super) fn new(rehearsal: &'r R, story: &'r Story<R::Saga>, log: Option<&'r mut Vec<String>>) -> Self {
        let (data, world) = rehearsal.begin();
        let now = Timestamp::UNIX_EPOCH;
        Self {
            rehearsal,
            story,
            progress: Progress::fresh(data, now),
            outbox: VecDeque::new(),
            under_way: Queue::new(story.delivery),
            mailbox: Queue::new(story.delivery),
            world,
            now,
            crossings: 0,
            hit: None,
            trouble_is_over: false,
            told_once: false,
            silent_ticks: 0,
            acted_at: None,
            issued: 0,
            carried_out: BTreeSet::new(),
            commands: Vec::new(),
            inputs: Vec::new(),
            entered: Vec::new(),
            failed_at: BTreeSet::new(),
            decisions: 0,
            log,
        }
    }

    /// Plays until the saga is closed and nothing is under way, then says everything once more and plays on.
    pub(super) fn play(mut self) -> Result<Told<R::Saga>, String> {
        while self.progress.step.as_deref() == Some("") {
            // Whoever begins a saga tries until it is stored.
            self.decide(&Event::Start)?.ok();
        }
        self.act_until_closed()?;
        self.check_end()?;
        let crossings = self.crossings;
        self.log(|| "-- everything comes once more".to_owned());
        self.told_once = true;
        let inputs = std::mem::take(&mut self.inputs);
        self.mailbox.send(inputs.into_iter().rev());
        let commands = self.commands.clone().into_iter().rev();
        self.under_way.send(commands.map(|command| (0, command)));
        self.act_until_closed()?;
        self.check_end()?;
        let Self { entered, commands, hit, failed_at, decisions, .. } = self;
        Ok(Told { entered, commands, crossings, hit, failed_at, decisions })
    }

    fn act_until_closed(&mut self) -> Result<(), String> {
        for _ in 0..ACTIONS {
            self.interfere()?;
            // A crash ends an action early; what is stored decides what happens next.
            if let Some((number, command)) = self.outbox.front().cloned() {
                self.publish(number, command).ok();
            } else if let Some((number, command)) = self.next_under_way() {
                self.call(number, &command).ok();
            } else if let Some(input) = self.mailbox.next() {
                if self.decide(&Event::Input(input))?.is_ok() {
                    self.inputs.extend(self.mailbox.acknowledge());
                }
            } else if self.progress.is_closed() {
                return Ok(());
            } else {
                self.wait()?;
            }
        }
        Err(format!("it is still at {:?} after {ACTIONS} actions", self.progress.step))
    }

    /// Nothing is under way: somebody acts, or time passes.
    fn wait(&mut self) -> Result<(), String> {
        if self.acted_at != self.progress.step && !self.is_silent() {
            self.acted_at.clone_from(&self.progress.step);
            let acts = self.rehearsal.acts(&self.progress, &mut self.world);
            self.mailbox.send(acts);
            if !self.mailbox.is_empty() {
                return Ok(());
            }
        }
        let due = due_at(self.rehearsal.saga(), &self.progress);
        let Some(due) = due else { return Err(format!("it waits at {:?} for something that never comes", self.progress.step)) };
        self.now = self.now.max(due);
        if self.is_silent() {
            self.silent_ticks += 1;
            self.now = self.now.max(self.deadline().filter(|_| self.silent_ticks == SILENT_TICKS).unwrap_or(due));
            self.trouble_is_over = self.silent_ticks > SILENT_TICKS;
        }
        self.decide(&Event::Tick)?.ok();
        Ok(())
    }

    fn deadline(&self) -> Option<Timestamp> {
        let definition = self.rehearsal.saga().definition();
        let position = definition.position(self.progress.step.as_deref()?)?;
        let schedule = definition.steps()[position].schedule(&self.progress.data, self.progress.entered_at);
        schedule.deadline.filter(|_| definition.may_fail(position))
    }

    /// One decision and its commit. The inner error is a crash.
    fn decide(&mut self, event: &Event<InputOf<R>>) -> Result<Result<(), Crashed>, String> {
        let saga = self.rehearsal.saga();
        let moved = plan(saga, &self.progress, event, self.now);
        self.decisions += 1;
        let step = self.progress.step.clone();
        self.log(|| format!("{event:?} at {step:?}: entered {:?}, asks {:?}", moved.entered, moved.commands));
        laws::check(saga, &self.progress, event, self.now, &moved)?;
        if self.told_once && self.progress.is_closed() && !moved.progress.is_closed() {
            return Err(format!("it was closed, and {event:?} opened it again although everything had been said before"));
        }
        if self.cross("commit").is_err() {
            return Ok(Err(Crashed));
        }
        self.note_failures(&moved);
        self.progress = moved.progress;
        self.entered.extend(moved.entered);
        for command in moved.commands {
            self.issued += 1;
            if !self.commands.contains(&command) {
                self.commands.push(command.clone());
            }
            self.outbox.push_back((self.issued, command));
        }
        Ok(self.cross("commit"))
    }

    fn publish(&mut self, number: usize, command: CommandOf<R>) -> Result<(), Crashed> {
        self.cross("publish")?;
        self.under_way.send([(number, command)]);
        self.cross("publish")?;
        self.outbox.pop_front();
        Ok(())
    }

    /// The receiver carries a command out and answers; then it acknowledges.
    fn call(&mut self, number: usize, command: &CommandOf<R>) -> Result<(), Crashed> {
        self.cross("call")?;
        let answers = self.answers(command);
        self.log(|| format!("{command:?} is answered by {answers:?}"));
        self.cross("call")?;
        self.carried_out.insert(number);
        self.mailbox.send(answers);
        self.under_way.acknowledge();
        Ok(())
    }

    fn answers(&mut self, command: &CommandOf<R>) -> Vec<InputOf<R>> {
        match &self.story.trouble {
            Trouble::Refusal { command: refused } if refused == command => self.rehearsal.refuse(&mut self.world, command),
            Trouble::Silence { .. } if self.is_silent() => {
                self.rehearsal.carry_out(&mut self.world, command, self.now);
                Vec::new()
            }
            Trouble::None | Trouble::WayOut { .. } | Trouble::Silence { .. } | Trouble::Refusal { .. } => {
                self.rehearsal.carry_out(&mut self.world, command, self.now)
            }
        }
    }

    /// Whoever wants out says so when the story has come to that, before anything else happens, until it is stored.
    fn interfere(&mut self) -> Result<(), String> {
        let Trouble::WayOut { step, when, input } = &self.story.trouble else { return Ok(()) };
        let here = self.progress.step.as_deref() == Some(*step);
        let effects_are_done = self.outbox.is_empty() && self.under_way.is_empty();
        if self.trouble_is_over || !here || (*when == When::AfterEffect && !effects_are_done) {
            return Ok(());
        }
        self.trouble_is_over = true;
        self.inputs.push(input.clone());
        while self.decide(&Event::Input(input.clone()))?.is_err() {}
        Ok(())
    }

    fn is_silent(&self) -> bool {
        let silent = self.story.trouble.silent_step();
        silent.is_some() && silent == self.progress.step.as_deref() && !self.trouble_is_over
    }

    /// A boundary: before it and after it are counted apart.
    fn cross(&mut self, boundary: &'static str) -> Result<(), Crashed> {
        let crossing = self.crossings;
        self.crossings += 1;
        if self.story.crash != Some(crossing) {
            return Ok(());
        }
        self.log(|| format!("-- crash at {boundary}"));
        self.hit = Some((boundary, self.progress.step.clone().unwrap_or_else(|| "closed".to_owned())));
        Err(Crashed)
    }

    /// While nobody works, what they are asked lies in their queue: nothing is ever lost there.
    fn next_under_way(&self) -> Option<Numbered<CommandOf<R>>> {
        if self.is_silent() && matches!(self.story.trouble, Trouble::Silence { when: When::BeforeEffect, .. }) {
            return None;
        }
        self.under_way.next()
    }

    /// Remembers the steps that were left without being done.
    fn note_failures(&mut self, moved: &Move<DataOf<R>, CommandOf<R>>) {
        let definition = self.rehearsal.saga().definition();
        let mut at = self.progress.step.as_deref().and_then(|step| definition.position(step));
        for step in &moved.entered {
            let to = definition.position(step);
            if let Some(from) = at.map(|at| &definition.steps()[at])
                && definition.may_fail(at.unwrap_or_default())
                && from.verdict(&moved.progress.data) != Verdict::Done
            {
                self.failed_at.insert(from.name().to_owned());
            }
            at = to;
        }
    }

    fn check_end(&self) -> Result<(), String> {
        if let Some(lost) = (1..=self.issued).find(|number| !self.carried_out.contains(number)) {
            return Err(format!("command number {lost} was committed and never delivered"));
        }
        self.rehearsal.check_end(&self.progress, &self.world)
    }

    /// Lines cost more than all decisions, so they are written only where somebody will read them.
    fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(line());
        }
    }
}
