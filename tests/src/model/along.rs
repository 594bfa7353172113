//! Addresses that change hands: whom a lend takes along, who looks after them, and when that is looked for.
//!
//! As the reader of policy does it: before a read of an open lease counts, whoever holds the address that its
//! lend named is read, and leased if the lend took them along.

use super::lease_book::Happening;
use super::machine::Machine;
use super::mutation::Mutation;
use super::place::{Account, Place, Shown};
use super::state::{Look, State, Why};

impl Machine {
    /// Who holds the address that a lease's lend named, when its account is read back: another account, or nobody else.
    pub fn holder(&self, state: &State, look: Look) -> Option<usize> {
        let lease = self.open_lease(state, usize::from(look.account)).filter(|_| state.swapped && look.why == Why::Patrol)?;
        let looks = self.setup.mutation != Some(Mutation::HolderUnchecked);
        (looks && state.leases[lease].named).then(|| 1 - usize::from(look.account))
    }

    /// The lease that took this account along is open: it must not end before the account has one of its own.
    pub fn is_looked_after(&self, state: &State, account: &Account) -> bool {
        account.along.is_some_and(|lease| self.leases.facts(state.leases[usize::from(lease)].row).is_open())
    }

    /// Whoever was moved in place of a lease's account gets a lease. While the lend may still land, it is looked again.
    pub(super) fn looks_along(&self, state: &mut State, look: Look, other: Shown) {
        let (account, holder) = (usize::from(look.account), 1 - usize::from(look.account));
        let Some(lease) = self.open_lease(state, account) else { return };
        let out = other.place == Place::Recovery;
        if out && self.open_lease(state, holder).is_none() {
            let spare = self.spare(holder);
            state.leases[spare].row = 0;
            self.lease_happens(state, spare, Happening::FoundOut { seen: other, begun: 0, home: Place::Home });
        }
        state.leases[lease].named &= !out && self.leases.facts(state.leases[lease].row).lend_may_land;
    }
}
