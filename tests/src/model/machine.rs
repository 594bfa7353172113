//! The whole as a [`stateright::Model`]: what each step leads to.

use stateright::{Model, Property};

use super::action::Action;
use super::calm::Calm;
use super::case_book::CaseBook;
use super::fault::{Fault, Pairs, Tally};
use super::lease_book::LeaseBook;
use super::place::Place;
use super::setup::Setup;
use super::state::State;
use super::verdicts::Verdicts;

/// A model of one size, and all that was learned while it ran.
pub struct Machine {
    /// Its bounds.
    pub setup: Setup,
    /// Policy's rows.
    pub leases: LeaseBook,
    /// Recovery's rows.
    pub cases: CaseBook,
    /// What production's diagnosis says before a lend.
    pub verdicts: Verdicts,
    /// What went wrong, in all runs together.
    pub tally: Tally,
    /// Which pairs of kinds went wrong in one run.
    pub pairs: Pairs,
    /// From which states everyone came home.
    pub calm: Calm,
}

impl Machine {
    /// A model that has not run.
    pub fn new(setup: Setup) -> Self {
        Self {
            leases: LeaseBook::new(setup.scale, setup.versions, setup.mutation),
            cases: CaseBook::new(setup.scale, setup.mutation),
            verdicts: Verdicts::new(&setup),
            tally: Tally::default(),
            pairs: Pairs::default(),
            calm: Calm::default(),
            setup,
        }
    }

    /// Before anything happened.
    pub fn first(&self) -> State {
        let mut state = State { trust: (self.trusted(), self.trusted()), ..State::default() };
        for case in 0..self.setup.cases.len() {
            if self.may_begin(&state, case) {
                self.begin(&mut state, case);
            }
        }
        state
    }

    fn trusted(&self) -> bool {
        self.setup.versions == super::place::Versions::Trusted
    }

    /// A tick passes.
    pub fn pass(&self, state: &mut State) {
        let scale = &self.setup.scale;
        for account in &mut state.accounts[..self.setup.accounts()] {
            account.age(if self.setup.kinds_in_a_run.is_none() { 1 } else { scale.late_limit + 1 });
            if account.returning.is_some_and(|age| self.is_too_late_for_ever(age)) {
                account.returning = None;
            }
        }
        for lease in &mut state.leases[..self.setup.leases()] {
            lease.row = self.leases.older(lease.row);
        }
        for case in &mut state.cases[..self.setup.cases.len()] {
            case.not_after = (case.not_after - 1).max(0);
            if case.row > 0 {
                case.row = self.cases.older(case.row);
            }
        }
        for look in state.looks.as_mut_slice() {
            look.begun -= 1;
        }
        // Decisions were made as of a moment that is over: they are made again.
        while !state.held.is_empty() {
            let held = state.held.remove(0);
            self.give_up(state, held);
        }
        state.looks.retain(|look| look.begun >= -scale.look);
    }

    fn step(&self, state: &mut State, action: Action) {
        match action {
            Action::Time => self.pass(state),
            Action::Pause => {
                self.trouble(state, Fault::Pause);
                self.pass(state);
            }
            Action::LendLands(account, nth) => self.lend_lands(state, usize::from(account), usize::from(nth)),
            Action::LendVanishes(account, nth) => {
                self.trouble(state, Fault::NeverApplied);
                state.accounts[usize::from(account)].lends.remove(usize::from(nth));
            }
            Action::LendBeyond(account, nth) => {
                self.trouble(state, Fault::LendBeyond);
                let account = &mut state.accounts[usize::from(account)];
                account.lends.as_mut_slice()[usize::from(nth)].until = None;
                account.beyond = true;
            }
            Action::ReturnLands(account) => {
                let account = usize::from(account);
                if let Some(kind) = state.accounts[account].returning.and_then(|age| self.lateness(age)) {
                    self.trouble(state, kind);
                }
                state.accounts[account].moved(Place::Home);
            }
            Action::Hand(account, to) => self.hand_moves(state, usize::from(account), to),
            Action::Swap => self.addresses_swap(state),
            Action::Begin(_)
            | Action::LendLost(_)
            | Action::ReturnLost(_)
            | Action::NewsArrives(..)
            | Action::NewsLost(..)
            | Action::CaseTick(_)
            | Action::Cancel(_)
            | Action::Enrol(_)
            | Action::Hold(..)
            | Action::Write
            | Action::CoordinatorDies => self.recovery_acts(state, action),
            Action::LendArrives(_)
            | Action::LookEnds { .. }
            | Action::LooksAlong { .. }
            | Action::ReturnArrives(..)
            | Action::Confirm(_)
            | Action::Mark(..)
            | Action::Answer(..)
            | Action::AnswerPart(..)
            | Action::WorkerDies(..)
            | Action::PatrolLooks(_)
            | Action::CensusLooks(_)
            | Action::LeaseTick(_)
            | Action::Release(_) => self.policy_acts(state, action),
        }
    }

    /// A person moves an account. If it is where lends lead, this cannot be told from a lend that is under way, or soon is.
    fn hand_moves(&self, state: &mut State, account: usize, to: Place) {
        self.trouble(state, Fault::Hand);
        state.handed = true;
        let one = &mut state.accounts[account];
        one.moved_by_hand(to);
        one.beyond |= to == Place::Recovery;
        if to == Place::Recovery && state.swapped {
            // What is under way to the one is the other's.
            state.accounts.iter_mut().for_each(|account| account.beyond = true);
        }
    }

    fn addresses_swap(&self, state: &mut State) {
        self.trouble(state, Fault::Swap);
        state.swapped = true;
        let [one, other] = &mut state.accounts;
        one.swaps_with(other);
    }

    fn lend_lands(&self, state: &mut State, account: usize, nth: usize) {
        let effect = state.accounts[account].lends.remove(nth);
        if effect.until.is_some_and(|until| self.is_late(until)) {
            self.trouble(state, Fault::LendLate);
        }
        let lease = usize::from(effect.lease);
        let along = self.setup.account_of(lease) != account;
        let one = &mut state.accounts[account];
        one.beyond |= effect.until.is_none();
        if !one.is_out() {
            one.moved(Place::Recovery);
            one.along = along.then_some(effect.lease);
        }
    }
}

/// Indices are far below 256.
pub fn small(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action);
        self.tidy(&mut state);
        (state != *last).then_some(state)
    }

    /// All laws in one: the checker looks up for each property, in each state, whether it is broken already.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::<Self>::always("every law", Self::every_law_holds)]
    }
}

/// The promise itself.
pub const COMES_HOME: &str = "once faults end, everyone comes home";

/// The same beyond the limit.
pub const ONE_CENSUS: &str = "whoever is out beyond the limit is found by one census, and nobody else needs one";
