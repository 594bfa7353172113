//! One run, step by step: what a counter-example looks like as a test.

use stateright::Model;

use super::machine::Machine;
use super::setup::Setup;
use super::state::State;

/// What a run led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// The laws that do not hold, and after which step.
    pub broken: Option<(usize, Vec<&'static str>)>,
    /// The steps that were not possible, and were left out.
    pub refused: Vec<usize>,
}

impl Setup {
    /// Takes these steps, by name. A step that is not possible where it comes is left out: that is how the right program
    /// differs from a wrong one. Ends where a law breaks.
    pub fn replay(self, steps: &[&str]) -> Replay {
        let machine = Machine::new(self);
        let mut state = machine.first();
        let mut replay = Replay::default();
        for (at, step) in steps.iter().enumerate() {
            match machine.named(&state, step) {
                Some(next) => state = next,
                None => replay.refused.push(at + 1),
            }
            let broken = machine.broken_laws(&state);
            if !broken.is_empty() {
                replay.broken = Some((at + 1, broken));
                break;
            }
        }
        replay
    }
}

impl Machine {
    /// The state after the step of this name, if there is one.
    fn named(&self, state: &State, step: &str) -> Option<State> {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let action = actions.into_iter().find(|action| action.to_string() == step)?;
        self.next_state(state, action)
    }

    /// Where everything stands, for people.
    pub fn show(&self, state: &State) -> Vec<String> {
        let mut rows = Vec::new();
        for (number, account) in state.accounts[..self.setup.accounts()].iter().enumerate() {
            let (place, version) = (account.shown.place, account.shown.version);
            rows.push(format!("account {number}: {place:?} in version {version}, {} lends under way", account.lends.len()));
        }
        for (number, lease) in state.leases[..self.setup.leases()].iter().enumerate() {
            if let Some(kept) = self.leases.kept(lease.row) {
                let attempts: Vec<String> =
                    kept.attempts.iter().map(|a| format!("{} {}", a.kind.name(), a.state.name())).collect();
                rows.push(format!("lease {number}: {:?}; {}", super::lease_row::stage(&kept.lease), attempts.join(", ")));
            }
        }
        for (number, case) in state.cases[..self.setup.cases.len()].iter().enumerate().filter(|(_, case)| case.row > 0) {
            let kept = self.cases.kept(case.row);
            rows.push(format!("case {number}: at {:?}, knows {:?}", kept.step, kept.data.lease.map(|lease| lease.state)));
        }
        rows
    }
}
