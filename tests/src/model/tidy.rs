//! What cannot matter to anything that follows is left out of a state, so that states that differ in nothing else are one.

use super::machine::Machine;
use super::state::{Lease, State};

impl Machine {
    /// Leaves out what cannot matter to anything that follows.
    pub fn tidy(&self, state: &mut State) {
        for (number, account) in state.accounts[..self.setup.accounts()].iter_mut().enumerate() {
            let looks = state.looks.iter().filter(|look| usize::from(look.account) == number);
            let oldest = looks.map(|look| look.begun).min().unwrap_or(0);
            account.forget(oldest, &self.setup.scale);
        }
        for lease in 0..self.setup.leases() {
            let facts = self.leases.facts(state.leases[lease].row);
            // Only a lend that is ready waits for it.
            state.leases[lease].confirmed |= !facts.lend_ready;
            state.leases[lease].named &= facts.is_open();
            if lease >= self.setup.cases.len() && !facts.is_open() {
                state.leases[lease] = Lease::default();
            }
        }
        state.workers.as_mut_slice().sort_unstable();
        state.looks.as_mut_slice().sort_unstable();
        state.held.as_mut_slice().sort_unstable();
        for case in 0..self.setup.cases.len() {
            if self.forever(state) {
                self.tidy_commands(state, case);
            }
            self.tidy_news(state, case);
        }
        self.tidy_versions(state);
    }

    /// Where nothing compares versions any more, they begin anew.
    fn tidy_versions(&self, state: &mut State) {
        let astray = state.swapped && state.accounts.iter().any(|account| !account.lends.is_empty());
        for number in 0..self.setup.accounts() {
            let own = |lease: &usize| self.setup.account_of(*lease) == number;
            let open = (0..self.setup.leases()).filter(own).any(|lease| self.leases.facts(state.leases[lease].row).is_open());
            let account = &mut state.accounts[number];
            let looked_at = state.looks.iter().any(|look| usize::from(look.account) == number);
            if !open && !looked_at && account.past.is_empty() {
                account.shown.version = 1;
                account.seen_before = account.seen_before.min(1);
                // What came too late has come, was found, and nothing of it can be seen any more.
                account.beyond &= account.is_out() || !account.lends.is_empty() || astray;
            }
        }
    }
}
