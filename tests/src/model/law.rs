//! What must hold in every state.

use super::lease_book::{End, Stage};
use super::machine::{COMES_HOME, Machine, ONE_CENSUS};
use super::mutation::Mutation;
use super::place::Place;
use super::state::State;

/// One law. Each is a sentence of the procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// An account that is out has an open lease (rules 1 and 4; under lateness within the limit, and unless it was released, or
    /// a person moved it there by hand).
    OutHasLease,
    /// An account has at most one open lease (rule 9).
    OneOpenLease,
    /// A closed lease means that no later effect of ours takes the account out (rule 4; under lateness within the limit).
    ClosedStaysClosed,
    /// A lend is sent only under an open lease whose opening is known outside the database (rule 1).
    LeaseFirst,
    /// A lease goes forward only, and its end does not change (rule 2).
    ForwardOnly,
    /// A case that is past its return has no open lease (architecture: `return` ends by an end of the lease only).
    CasePastReturn,
    /// A case never believes older news over newer.
    NewsForward,
    /// News that the account was lent makes a case that is leaving ask for the return again, at once.
    LateLentAsksReturn,
    /// At most one lend of a lease may take effect (rule 4: an unknown lend is never sent again).
    OneLend,
    /// Only who holds a lease that was opened moves its account (rule 1).
    OnlyHoldersMove,
    /// A lend is ready only while its lease is opening (architecture: a return turns `ready` into `void`).
    NoReadyLend,
    /// A lease leads to a mandatory policy (rule 7).
    HomeProtects,
    /// A lease ends at home or in another protecting policy only when a read shows the account there (rule 3).
    EndIsSeen,
}

impl Law {
    /// Every law.
    pub const ALL: [Self; 13] = [
        Self::OutHasLease,
        Self::OneOpenLease,
        Self::ClosedStaysClosed,
        Self::LeaseFirst,
        Self::ForwardOnly,
        Self::CasePastReturn,
        Self::NewsForward,
        Self::LateLentAsksReturn,
        Self::OneLend,
        Self::OnlyHoldersMove,
        Self::NoReadyLend,
        Self::HomeProtects,
        Self::EndIsSeen,
    ];

    /// The law as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OutHasLease => "an account that is out has an open lease",
            Self::OneOpenLease => "an account has at most one open lease",
            Self::ClosedStaysClosed => "after a lease is closed no lend of it takes effect",
            Self::LeaseFirst => "a lend is sent only under an open lease that is known outside the database",
            Self::ForwardOnly => "a lease goes forward only",
            Self::CasePastReturn => "a case that is past its return has no open lease",
            Self::NewsForward => "a case never believes older news over newer",
            Self::LateLentAsksReturn => "a case that is leaving asks for the return when it hears that the account was lent",
            Self::OneLend => "at most one lend of a lease may take effect",
            Self::OnlyHoldersMove => "only the holder of a lease of an account moves it",
            Self::NoReadyLend => "a lend is ready only while its lease is opening",
            Self::HomeProtects => "a lease leads to a mandatory policy",
            Self::EndIsSeen => "a lease ends only on what was seen",
        }
    }

    /// Whether the law holds.
    pub fn holds(self, machine: &Machine, state: &State) -> bool {
        if state.broken == Some(self) {
            return false;
        }
        let leases = || (0..machine.setup.leases()).map(|lease| (lease, machine.leases.facts(state.leases[lease].row)));
        let accounts = 0..machine.setup.accounts();
        let open = |account: usize| {
            leases().filter(|(lease, facts)| machine.setup.account_of(*lease) == account && facts.is_open()).count()
        };
        match self {
            Self::OutHasLease => accounts.into_iter().all(|account| {
                let one = &state.accounts[account];
                // Whoever a lend took along is looked after by that lease, until it has one of its own.
                let along = machine.is_looked_after(state, one);
                one.shown.place.protects() || one.released || one.beyond || one.by_hand || along || open(account) > 0
            }),
            Self::OneOpenLease => accounts.into_iter().all(|account| open(account) <= 1),
            Self::ClosedStaysClosed => leases().all(|(lease, facts)| {
                let closed = facts.stage.is_some_and(|stage| matches!(stage, Stage::Closed(_) | Stage::Refused(_)));
                let account = machine.setup.account_of(lease);
                !closed || state.accounts[account].beyond || !state.lend_in_time(lease)
            }),
            Self::CasePastReturn => (0..machine.setup.cases.len()).all(|case| {
                let row = state.cases[case].row;
                let past = row > 0 && machine.cases.facts(row).step == super::case_book::CaseStep::Past;
                !past || !machine.leases.facts(state.leases[case].row).is_open()
            }),
            Self::OnlyHoldersMove => accounts.into_iter().all(|account| {
                let lends = &state.accounts[account].lends;
                lends.iter().map(|lend| usize::from(lend.lease)).all(|lease| {
                    let stage = machine.leases.facts(state.leases[lease].row).stage;
                    (state.swapped || machine.setup.account_of(lease) == account)
                        && !matches!(stage, None | Some(Stage::Refused(_) | Stage::Closed(End::NeverLent)))
                })
            }),
            // What is harmless as long as the mark is guarded is let through where the mistake is that it is not.
            Self::NoReadyLend if machine.setup.mutation == Some(Mutation::ReturnLeavesReadyUnguarded) => true,
            Self::NoReadyLend => leases().all(|(_, facts)| !facts.lend_ready || facts.stage == Some(Stage::Opening)),
            Self::HomeProtects => leases().all(|(_, facts)| facts.home == Place::Home || !facts.is_open()),
            // Seen in the step that breaks it.
            Self::OneLend
            | Self::LeaseFirst
            | Self::ForwardOnly
            | Self::NewsForward
            | Self::LateLentAsksReturn
            | Self::EndIsSeen => true,
        }
    }
}

impl Machine {
    /// Whether every law holds in a state, and everyone comes home from it.
    pub fn every_law_holds(&self, state: &State) -> bool {
        Law::ALL.into_iter().all(|law| law.holds(self, state))
            && self.comes_home(state).is_some_and(|way| Self::one_census_is_enough(state, way))
    }

    /// The laws that do not hold in a state.
    pub fn broken_laws(&self, state: &State) -> Vec<&'static str> {
        let laws = Law::ALL.into_iter().filter(|law| !law.holds(self, state)).map(Law::sentence);
        let home = match self.comes_home(state) {
            None => Some(COMES_HOME),
            Some(way) => (!Self::one_census_is_enough(state, way)).then_some(ONE_CENSUS),
        };
        laws.chain(home).collect()
    }
}
