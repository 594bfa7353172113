//! Runs a model through the checker, and says what came of it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::action::Action;
use super::fault::Fault;
use super::machine::Machine;
use super::memory;
use super::setup::Setup;
use super::state::State;

/// What the checker found.
pub struct Report {
    /// The model's name.
    pub name: String,
    /// States reached, each as often as a step led to it.
    pub steps: usize,
    /// Distinct states.
    pub distinct: usize,
    /// The longest shortest way to a state.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The most memory that the process held meanwhile, in MiB; 0 where the system does not tell.
    pub peak: u64,
    /// Distinct decisions that production was asked for: of policy, of recovery.
    pub decisions: (usize, usize),
    /// Distinct states after faults ended, and the longest way home from any state, in ticks.
    pub calm: (usize, u8),
    /// How often each kind of fault happened.
    pub faults: Vec<(Fault, u64)>,
    /// Kinds that should have happened and did not.
    pub missing: Vec<Fault>,
    /// Pairs of kinds that happened in one run, where kinds are limited.
    pub pairs: Vec<(Fault, Fault)>,
    /// Laws that do not hold, each with the way there.
    pub broken: Vec<Counterexample>,
}

/// A law that does not hold, and how to see it.
pub struct Counterexample {
    /// The law.
    pub law: &'static str,
    /// The steps.
    pub steps: Vec<Action>,
    /// What production's rows hold at the end.
    pub rows: Vec<String>,
    /// What happens from there when faults end.
    pub calm: Vec<Action>,
}

impl Setup {
    /// Plays every interleaving, until a law breaks or all states were seen.
    pub fn check(self) -> Report {
        // One after the other: each has both cores and the memory to itself.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_within(2, None)
    }

    /// The same, and if a law breaks, the shortest way to break one.
    pub fn check_shortest(self) -> Report {
        let begun = Instant::now();
        let mut shortest = self.clone().check_within(1, None);
        while let Some(steps) = shortest.broken.iter().map(|broken| broken.steps.len()).min() {
            // A way of n steps ends at depth n + 1, and what stands at the target depth is not looked at.
            let shorter = self.clone().check_within(1, Some(steps + 1));
            if shorter.broken.is_empty() {
                break;
            }
            shortest = shorter;
        }
        Report { time: begun.elapsed(), ..shortest }
    }

    fn check_within(self, threads: usize, depth: Option<usize>) -> Report {
        memory::forget_peak();
        let begun = Instant::now();
        let name = self.to_string();
        let checker = Machine::new(self)
            .checker()
            .threads(threads)
            .finish_when(HasDiscoveries::AnyFailures)
            .target_max_depth(depth.unwrap_or(0)) // 0 stands for none
            .spawn_bfs()
            .join();
        let machine = checker.model();
        let faults = machine.tally.counts();
        let expected = machine.expected();
        let never = |kind: &Fault| faults.iter().any(|(of, count)| of == kind && *count == 0);
        Report {
            name,
            steps: checker.state_count(),
            distinct: checker.unique_state_count(),
            depth: checker.max_depth(),
            time: begun.elapsed(),
            decisions: (machine.leases.size().1, machine.cases.size().1),
            calm: machine.calm.longest(),
            missing: expected.kinds().filter(never).collect(),
            pairs: machine.pairs.met(),
            peak: memory::peak(),
            broken: checker.discoveries().into_values().flat_map(|path| counterexamples(machine, path)).collect(),
            faults,
        }
    }
}

/// One for each law that does not hold at the end of a way.
fn counterexamples(machine: &Machine, path: Path<State, Action>) -> Vec<Counterexample> {
    let last = path.last_state().clone();
    let (rows, calm) = (machine.show(&last), machine.way_home(&last).steps);
    let steps: Vec<Action> = path.into_vec().into_iter().filter_map(|(_, action)| action).collect();
    let of = |law| Counterexample { law, steps: steps.clone(), rows: rows.clone(), calm: calm.clone() };
    machine.broken_laws(&last).into_iter().map(of).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        let rate = f64::from(u32::try_from(self.steps).unwrap_or(u32::MAX)) / self.time.as_secs_f64().max(0.001);
        writeln!(
            f,
            "  {} distinct states, {} steps, depth {}, {:.1} s ({:.0} steps/s), {} MiB at most",
            self.distinct,
            self.steps,
            self.depth,
            self.time.as_secs_f64(),
            rate,
            self.peak
        )?;
        writeln!(f, "  production was asked for {} decisions on leases and {} on cases", self.decisions.0, self.decisions.1)?;
        writeln!(f, "  once faults end, everyone is home within {} ticks ({} states)", self.calm.1, self.calm.0)?;
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        writeln!(f, "  faults: {}", faults.join(", "))?;
        if !self.pairs.is_empty() {
            writeln!(f, "  {} pairs of kinds of fault happened in one run", self.pairs.len())?;
        }
        for example in &self.broken {
            write!(f, "{example}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  BROKEN after {} steps: {}", self.steps.len(), self.law)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "    {:>2}. {step}", number + 1)?;
        }
        for row in &self.rows {
            writeln!(f, "    = {row}")?;
        }
        if self.law == super::machine::COMES_HOME {
            for step in self.calm.iter().take(20) {
                writeln!(f, "    ~ {step}")?;
            }
        }
        Ok(())
    }
}
