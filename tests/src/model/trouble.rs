//! Which trouble may happen now, and what it is counted as.

use super::fault::{Fault, Faults};
use super::machine::Machine;
use super::place::Effect;
use super::scale::Ticks;
use super::setup::{Network, Recovery};
use super::state::State;

impl Machine {
    /// Whether this kind of trouble may happen now. Where kinds are limited, each happens once in a run; crashes more often.
    pub fn may(&self, state: &State, kind: Fault) -> bool {
        let room = self.setup.kinds_in_a_run.is_none_or(|most| match kind {
            Fault::Crash if state.faults.holds(kind) => state.crashes < self.setup.crashes,
            _ => !state.faults.holds(kind) && state.faults.len() + self.undecided(state, kind) < most,
        });
        let wanted = self.setup.with.is_none_or(|with| kind == with || state.faults.is_empty() || state.faults.holds(with));
        self.setup.faults.holds(kind) && room && (wanted || state.faults.holds(kind))
    }

    /// A lend that is late already, and of which only the end will show what kind of trouble it is.
    fn undecided(&self, state: &State, kind: Fault) -> u32 {
        let kinds = [Fault::LendLate, Fault::LendBeyond, Fault::NeverApplied];
        let decided = kinds.contains(&kind) || kinds.iter().any(|kind| state.faults.holds(*kind));
        let late = |lend: &Effect| lend.until.is_some_and(|until| self.is_late(until));
        u32::from(!decided && state.accounts.iter().any(|account| account.lends.iter().any(late)))
    }

    /// A lend was sent with `claim + late_limit` ticks left.
    pub(super) fn is_late(&self, until: Ticks) -> bool {
        until < self.setup.scale.claim + self.setup.scale.late_limit
    }

    /// Whether messages stay under way for ever.
    pub fn forever(&self, state: &State) -> bool {
        self.setup.network == Network::Forever && !state.calm
    }

    /// Trouble happens.
    pub fn trouble(&self, state: &mut State, kind: Fault) {
        self.tally.count(kind);
        self.note(state, kind);
        self.pairs.note(state.faults);
    }

    /// Where kinds are limited, each state knows those of its run.
    pub(super) fn note(&self, state: &mut State, kind: Fault) {
        if self.setup.kinds_in_a_run.is_some() {
            state.faults = state.faults.with(kind);
            state.crashes += u8::from(kind == Fault::Crash);
        }
    }

    /// The kinds of trouble that this model must have seen.
    pub fn expected(&self) -> Faults {
        match self.setup.network {
            Network::Explicit => self.setup.faults,
            Network::Forever if self.setup.recovery == Recovery::Anyone => unseen(self.setup.faults).without(Fault::Reorder),
            Network::Forever => unseen(self.setup.faults),
        }
    }
}

/// What happens all the time, and is not a step of its own, where everything stays under way for ever.
fn unseen(faults: Faults) -> Faults {
    faults.without(Fault::Loss).without(Fault::Duplicate).without(Fault::ReturnBeyond)
}
