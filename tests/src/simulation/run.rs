//! One run: from its draft to its end.

use std::fmt;

use super::agenda::{HOUR, Micros, micros, told};
use super::draft::Draft;
use super::fault::{Kind, Tally};
use super::law::Law;
use super::world::{Figures, World};

/// A law that a run broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// By whom.
    pub words: String,
    /// When.
    pub at: Micros,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {} ({})", told(self.at), self.law.sentence(), self.words)
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What it was drawn from.
    pub seed: u64,
    /// Everything that happened, folded into one number.
    pub hash: u64,
    /// Faults that struck.
    pub tally: Tally,
    /// What was measured.
    pub figures: Figures,
    /// What it broke.
    pub broken: Option<Broken>,
    /// The published bounds: from the calm to a lease's end, and from there to its case's close.
    pub bounds: (Micros, Micros),
    /// The one kind of fault that it was to meet, where there was one only.
    pub alone: Option<Kind>,
    /// Everything that happened, for people, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs a draft to its end.
pub fn run(draft: &Draft, traced: bool) -> Outcome {
    let alone = alone(draft);
    let mut world = World::new(draft.clone(), traced);
    let last = last_moment(&world);
    while world.broken.is_none() && !world.is_quiet() && world.next(last) {}
    // What is sent by now must have no effect later; where writes go beyond the limit, the tail reads have their time.
    let tail =
        if draft.goes_beyond() { 26 * HOUR } else { 2 * micros(draft.limits.late_limit) + 2 * micros(draft.limits.read_lag) };
    let until = world.agenda.now() + tail;
    while world.broken.is_none() && world.next(until) {}
    // A tail read may have found somebody: that lease, too, has its time.
    while world.broken.is_none() && !world.is_quiet() && world.next(last + tail) {}
    if world.broken.is_none() {
        world.judge_end();
    }
    let bounds = (world.bound_of_end(), world.bound_of_close());
    Outcome {
        seed: draft.seed,
        hash: world.hash,
        tally: world.tally,
        figures: world.figures,
        broken: world.broken.map(|(law, words, at)| Broken { law, words, at }),
        bounds,
        alone,
        trace: world.trace.unwrap_or_default(),
    }
}

fn alone(draft: &Draft) -> Option<Kind> {
    let first = draft.faults.first()?.kind;
    draft.faults.iter().all(|fault| fault.kind == first).then_some(first)
}

/// By then everything is over, or something is wrong: each account's cases one after the other, each waiting for proof,
/// approval and a slot as long as it may, and then for its lease.
fn last_moment(world: &World) -> Micros {
    let limits = &world.draft.limits;
    let waits = micros(limits.approval) * 2 + micros(limits.slot_wait) + micros(limits.lease) * 2;
    let one = waits + world.bound_of_end() + world.bound_of_close();
    let beyond = if world.draft.goes_beyond() { 60 * HOUR } else { 0 };
    world.draft.calm_from + 2 * one + beyond
}
