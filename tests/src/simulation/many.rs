//! Many runs, on several threads: what went wrong how often, how long the worst took, and the seeds that failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::agenda::{Micros, told};
use super::draft::Draft;
use super::fault::{Kind, Tally};
use super::run::{Broken, Outcome, run};
use super::world::Figures;
use crate::model::mutation::Mutation;

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Runs.
    pub seeds: u64,
    /// Faults that struck.
    pub tally: Tally,
    /// The longest time past the due time by kind: of runs that met this kind alone, and of all that met it.
    pub past_due: BTreeMap<Kind, (Micros, Micros)>,
    /// The worst of everything that was measured; counts are sums.
    pub figures: Figures,
    /// The seeds that failed, and how.
    pub failed: BTreeMap<u64, Broken>,
    /// How long it took.
    pub time: Duration,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.tally.add(&outcome.tally);
        for kind in outcome.tally.kinds() {
            let entry = self.past_due.entry(kind).or_default();
            entry.1 = entry.1.max(outcome.figures.past_due);
            if outcome.alone == Some(kind) {
                entry.0 = entry.0.max(outcome.figures.past_due);
            }
        }
        let (all, one) = (&mut self.figures, outcome.figures);
        all.past_due = all.past_due.max(one.past_due);
        all.to_end = all.to_end.max(one.to_end);
        all.to_close = all.to_close.max(one.to_close);
        all.leases += one.leases;
        all.reopened += one.reopened;
        all.events += one.events;
        if let Some(broken) = outcome.broken {
            self.failed.insert(outcome.seed, broken);
        }
    }

    /// The kinds of fault that never struck.
    pub fn missing(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.tally.of(*kind) == 0).collect()
    }

    /// Runs in a second of wall time.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.seeds).unwrap_or(u32::MAX)) / self.time.as_secs_f64().max(0.001)
    }
}

/// What many runs are to be.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// The mistake that they are to find, if any; then the first that finds it ends it.
    pub mutation: Option<Mutation>,
    /// At once.
    pub threads: usize,
}

/// Runs them. Which thread runs which seed changes nothing.
pub fn run_many(order: Order) -> Sum {
    let begun = Instant::now();
    let next = AtomicU64::new(order.from);
    let found = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= order.from + order.seeds || found.load(Ordering::Relaxed) {
                return;
            }
            let draft = Draft { mutation: order.mutation, ..Draft::of(seed) };
            let outcome = run(&draft, false);
            if order.mutation.is_some() && outcome.broken.is_some() {
                found.store(true, Ordering::Relaxed);
            }
            sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..order.threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.time = begun.elapsed();
    sum
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        writeln!(
            f,
            "{} seeds in {:.1} s ({:.0} seeds/s), {} leases, {} reopened, {} things happened",
            self.seeds,
            self.time.as_secs_f64(),
            self.rate(),
            figures.leases,
            figures.reopened,
            figures.events
        )?;
        writeln!(
            f,
            "the longest: a lease's end after the calm {}, a case's close after that {}, an account out past its time {}",
            told(figures.to_end),
            told(figures.to_close),
            told(figures.past_due)
        )?;
        writeln!(f, "{:<32} {:>9}   longest past due: alone, with others", "fault", "times")?;
        for kind in Kind::ALL {
            let (alone, any) = self.past_due.get(&kind).copied().unwrap_or_default();
            writeln!(f, "{:<32} {:>9}   {}, {}", kind.name(), self.tally.of(kind), told(alone), told(any))?;
        }
        for (seed, broken) in self.failed.iter().take(20) {
            writeln!(f, "FAILED seed {seed} {broken}")?;
        }
        Ok(())
    }
}
