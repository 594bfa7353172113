//! What every saga must prove before it may run. A test iterates over all sagas of a program:
//! `proofs::prove_all(&[&LendingRehearsal, …])`.
//!
//! A [`Rehearsal`] plays the others: people, services, the provider. The proof runs the saga's own decisions against it on
//! a stage that models at-least-once delivery: a stored row, an outbox, messages under way, and a log of effects.
//! It plays
//! - the happy story, and from it every trouble: each way out, silence and refusal, at every step, before and after the
//!   step's effect;
//! - each of these with every message once, twice in a row, and twice with the repeats late and in reverse order
//!   (so every step and every compensation runs twice);
//! - each of these again with a crash at every boundary (commit, publish, call), before and after it.
//!
//! In every run, every decision keeps the [`laws`], the saga ends closed, no command is lost, what the rehearsal says
//! about the end holds, and it still holds after every message has come once more.

pub mod laws;
mod queue;
mod stage;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use homeward_types::Timestamp;

use crate::definition::Saga;
use crate::plan::Progress;
use stage::{Stage, Told};
use story::{Delivery, Story, Trouble};

/// The other parts in a saga's play.
pub trait Rehearsal {
    /// The saga that is proved.
    type Saga: Saga;
    /// The world outside the saga: what its commands have had for effects.
    type World: Clone;

    /// The saga.
    fn saga(&self) -> &Self::Saga;

    /// What is known at the start, and the world as it is then.
    fn begin(&self) -> (<Self::Saga as Saga>::Data, Self::World);

    /// What people and others do of their own accord so that a saga that waits at this step goes on; empty when it only
    /// waits for answers.
    fn acts(&self, progress: &Progress<<Self::Saga as Saga>::Data>, world: &mut Self::World) -> Vec<<Self::Saga as Saga>::Input>;

    /// Carries out a command and answers it. As the real receiver must, it takes effect once however often the command
    /// comes, and answers each time.
    fn carry_out(
        &self,
        world: &mut Self::World,
        command: &<Self::Saga as Saga>::Command,
        now: Timestamp,
    ) -> Vec<<Self::Saga as Saga>::Input>;

    /// The answer of a receiver that refuses the command. Empty if it never does.
    fn refuse(&self, _world: &mut Self::World, _command: &<Self::Saga as Saga>::Command) -> Vec<<Self::Saga as Saga>::Input> {
        Vec::new()
    }

    /// The inputs by which somebody wants out: cancelled, repudiated. May come at any step.
    fn ways_out(&self) -> Vec<<Self::Saga as Saga>::Input>;

    /// What must be true of the world once the saga is closed, whatever happened.
    ///
    /// # Errors
    /// A sentence about what is not as it must be.
    fn check_end(&self, progress: &Progress<<Self::Saga as Saga>::Data>, world: &Self::World) -> Result<(), String>;
}

/// A rehearsal of any saga, so that a list can hold them all.
pub trait Proof {
    /// The saga's name.
    fn saga_name(&self) -> &'static str;

    /// Plays everything.
    ///
    /// # Errors
    /// The first story that went wrong.
    fn prove(&self) -> Result<Report, Broken>;
}

/// What was played.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Stories told without a crash.
    pub stories: usize,
    /// Stories told again with a crash.
    pub crashes: usize,
    /// Decisions made in all of them.
    pub decisions: usize,
    /// How often a crash hit each boundary while the saga was at each step: `(boundary, step)`.
    pub hits: BTreeMap<(&'static str, String), usize>,
    /// Steps at which a saga failed and left.
    pub failed_at: BTreeSet<String>,
}

/// A story that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The saga.
    pub saga: &'static str,
    /// The story that was told.
    pub story: String,
    /// What is not as it must be.
    pub problem: String,
    /// All that happened, in order.
    pub log: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "saga {}, {}: {}", self.saga, self.story, self.problem)?;
        self.log.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Broken {}

impl<R: Rehearsal> Proof for R {
    fn saga_name(&self) -> &'static str {
        R::Saga::NAME
    }

    fn prove(&self) -> Result<Report, Broken> {
        prove(self)
    }
}

/// Proves every saga of a program. A saga that is not in the list is not proved, so keep one list.
///
/// # Errors
/// The first story of the first saga that went wrong.
pub fn prove_all(rehearsals: &[&dyn Proof]) -> Result<BTreeMap<&'static str, Report>, Broken> {
    rehearsals.iter().map(|rehearsal| Ok((rehearsal.saga_name(), rehearsal.prove()?))).collect()
}

/// Proves one saga.
///
/// # Errors
/// The first story that went wrong.
pub fn prove<R: Rehearsal>(rehearsal: &R) -> Result<Report, Broken> {
    let broken = |problem: String| Broken { saga: R::Saga::NAME, story: "its definition".to_owned(), problem, log: Vec::new() };
    if let Some(problem) = rehearsal.saga().definition().problem() {
        return Err(broken(problem));
    }
    let mut report = Report::default();
    let happy = tell(rehearsal, &Story::of(Trouble::None), &mut report)?;
    let steps: Vec<&'static str> = rehearsal.saga().definition().steps().iter().map(|step| step.name()).collect();
    if let Some(missed) = steps.iter().find(|step| !happy.entered.contains(*step)) {
        return Err(broken(format!("the happy story never comes to step {missed}")));
    }
    for trouble in Trouble::all(rehearsal, &steps, &happy.commands) {
        for delivery in Delivery::ALL {
            let story = Story { trouble: trouble.clone(), delivery, crash: None };
            let crossings = tell(rehearsal, &story, &mut report)?.crossings;
            for crash in 0..crossings {
                tell(rehearsal, &Story { crash: Some(crash), ..story.clone() }, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// Tells one story to its end, and once more everything that was said in it.
fn tell<R: Rehearsal>(rehearsal: &R, story: &Story<R::Saga>, report: &mut Report) -> Result<Told<R::Saga>, Broken> {
    let told = match Stage::new(rehearsal, story, None).play() {
        Ok(told) => told,
        Err(problem) => {
            // The same happens when it is told again; now every line is kept.
            let mut log = Vec::new();
            let problem = Stage::new(rehearsal, story, Some(&mut log)).play().err().unwrap_or(problem);
            return Err(Broken { saga: R::Saga::NAME, story: story.to_string(), problem, log });
        }
    };
    match &story.crash {
        None => report.stories += 1,
        Some(_) => report.crashes += 1,
    }
    if let Some(hit) = &told.hit {
        *report.hits.entry(hit.clone()).or_default() += 1;
    }
    report.decisions += told.decisions;
    report.failed_at.extend(told.failed_at.iter().cloned());
    Ok(told)
}
