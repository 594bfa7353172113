//! From every state everyone comes home, once faults end.
//!
//! The worst is taken for what is under way: every message is lost, every worker and reader dies, and what was sent to the
//! provider never takes effect (that it does is another state, from which the same is asked). Then everyone does what is
//! due, nobody acts, and time passes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use homeward_policy::lease::Kind;

use super::action::Action;
use super::case_book::CaseStep;
use super::lease_book::Reply;
use super::machine::{Machine, small};
use super::place::{Place, Shown};
use super::state::{Leases, State};

/// More steps than any way home takes; one that takes more goes in a circle.
const STEPS: usize = 200;

/// Another one than the checker's own: states that one of both mixes up the other tells apart.
const HASHER: ahash::RandomState = ahash::RandomState::with_seeds(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344);

/// The way home from a state, as far as laws speak of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// Its length in ticks.
    pub ticks: u8,
    /// How many accounts only the census found.
    pub found: u8,
}

/// States from which the way home is known, by fingerprint: 64 bits of it, as the checker itself keeps.
pub struct Calm(Vec<Mutex<HashMap<u64, Way>>>);

impl Default for Calm {
    fn default() -> Self {
        Self((0..64).map(|_| Mutex::default()).collect())
    }
}

impl Calm {
    fn shard(&self, state: u64) -> MutexGuard<'_, HashMap<u64, Way>> {
        let shard = usize::try_from(state >> 58).unwrap_or(0);
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many states, and the longest way home in ticks.
    pub fn longest(&self) -> (usize, u8) {
        let shards = self.0.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.len(), shard.values().map(|way| way.ticks).max().unwrap_or(0))
        });
        shards.fold((0, 0), |(states, longest), (more, ticks)| (states + more, longest.max(ticks)))
    }
}

/// The way home from a state.
pub struct WayHome {
    /// Its steps.
    pub steps: Vec<Action>,
    /// Its end, or where it was given up.
    pub last: State,
}

impl Machine {
    /// How everyone comes home, if ever.
    pub fn comes_home(&self, state: &State) -> Option<Way> {
        if state.broken.is_some() {
            return Some(Way::default());
        }
        let mut state = self.calmed(state);
        let mut steps: Vec<(u64, Action)> = Vec::new();
        let mut way = loop {
            let print = HASHER.hash_one(&state);
            if let Some(way) = self.calm.shard(print).get(&print) {
                break *way;
            }
            if self.is_home(&state) {
                break Way::default();
            }
            if steps.len() > STEPS {
                return None;
            }
            steps.push((print, self.calm_step(&mut state)?));
        };
        for (print, action) in steps.into_iter().rev() {
            way.ticks += u8::from(action == Action::Time);
            way.found += u8::from(matches!(action, Action::CensusLooks(_)));
            self.calm.shard(print).insert(print, way);
        }
        Some(way)
    }

    /// Whoever is out although every lend kept to the limit has a lease; for the others the census looks once.
    pub(super) fn one_census_is_enough(state: &State, way: Way) -> bool {
        let beyond = state.accounts.iter().filter(|account| account.beyond || account.by_hand && account.is_out()).count();
        usize::from(way.found) <= beyond
    }

    /// The same, step by step, for people.
    pub fn way_home(&self, state: &State) -> WayHome {
        let mut state = self.calmed(state);
        let mut steps = Vec::new();
        while !self.is_home(&state) && steps.len() < STEPS {
            let Some(action) = self.calm_step(&mut state) else { break };
            steps.push(action);
        }
        WayHome { steps, last: state }
    }

    fn calmed(&self, state: &State) -> State {
        let mut state = state.clone();
        state.workers.clear();
        state.looks.clear();
        state.held.clear();
        state.faults = super::fault::Faults::NONE;
        state.crashes = 0;
        (state.handed, state.calm) = (true, true);
        for account in &mut state.accounts {
            account.lends.clear();
            account.returning = None;
        }
        for case in &mut state.cases {
            (case.lend, case.bring_home) = (false, false);
            case.news.clear();
        }
        self.tidy(&mut state);
        state
    }

    /// Every lease has one of its ends, every case that began is over, and nobody is out but who was released.
    fn is_home(&self, state: &State) -> bool {
        let leases = (0..self.setup.leases()).all(|lease| !self.leases.facts(state.leases[lease].row).is_open());
        let cases = (0..self.setup.cases.len()).all(|case| {
            let row = state.cases[case].row;
            row == 0 || self.cases.facts(row).step == CaseStep::Past
        });
        let accounts = state.accounts[..self.setup.accounts()].iter().all(|account| !account.is_stray());
        leases && cases && accounts
    }

    /// The one next step: what is due, in the order in which production's loops take it; time passes when nothing is.
    fn calm_step(&self, state: &mut State) -> Option<Action> {
        let action = self
            .calm_message(state)
            .or_else(|| self.calm_work(state))
            .or_else(|| self.calm_census(state))
            .unwrap_or(Action::Time);
        let before = (action != Action::Time).then(|| state.clone());
        match action {
            Action::Time => self.pass(state),
            Action::LendArrives(_) | Action::PatrolLooks(_) | Action::CensusLooks(_) => {
                self.policy_acts(state, action);
                self.end_looks(state);
            }
            Action::Mark(leases, kind) => self.calm_write(state, leases, kind),
            Action::NewsArrives(..) | Action::CaseTick(_) => self.recovery_acts(state, action),
            _ => self.policy_acts(state, action),
        }
        self.tidy(state);
        // A step that changes nothing would be taken for ever.
        (before.as_ref() != Some(state)).then_some(action)
    }

    fn calm_message(&self, state: &State) -> Option<Action> {
        (0..self.setup.cases.len()).find_map(|at| {
            let (case, number) = (&state.cases[at], small(at));
            if case.lend {
                Some(Action::LendArrives(number))
            } else if case.bring_home {
                Some(Action::ReturnArrives(number, false))
            } else if !case.news.is_empty() {
                Some(Action::NewsArrives(number, 0, false))
            } else {
                None
            }
        })
    }

    fn calm_work(&self, state: &State) -> Option<Action> {
        let due = |moment: Option<i8>| moment.is_some_and(|moment| moment <= 0);
        for at in 0..self.setup.leases() {
            let (lease, number) = (&state.leases[at], small(at));
            let facts = self.leases.facts(lease.row);
            if !facts.is_open() {
                continue;
            }
            if !lease.confirmed {
                return Some(Action::Confirm(number));
            }
            if let Some(kind) = [Kind::Return, Kind::Lend].into_iter().find(|kind| self.may_mark(state, at, *kind)) {
                return Some(Action::Mark(Leases::one(at), kind));
            }
            if due(facts.read_at) {
                return Some(Action::PatrolLooks(small(self.setup.account_of(at))));
            }
            if due(facts.tick_at) {
                return Some(Action::LeaseTick(number));
            }
        }
        (0..self.setup.cases.len()).find_map(|at| {
            let row = state.cases[at].row;
            (row > 0 && due(self.cases.facts(row).due)).then(|| Action::CaseTick(small(at)))
        })
    }

    fn calm_census(&self, state: &State) -> Option<Action> {
        (0..self.setup.accounts()).find_map(|at| {
            let account = &state.accounts[at];
            let stray = account.is_stray() && self.open_lease(state, at).is_none() && !self.is_looked_after(state, account);
            stray.then(|| Action::CensusLooks(small(at)))
        })
    }

    /// The provider does at once what it is asked, and says so.
    fn calm_write(&self, state: &mut State, leases: Leases, kind: Kind) {
        self.policy_acts(state, Action::Mark(leases, kind));
        for lease in leases.iter() {
            let account = &mut state.accounts[self.setup.account_of(lease)];
            match kind {
                Kind::Lend => {
                    account.lends.clear();
                    account.moved(Place::Recovery);
                }
                Kind::Return => {
                    account.returning = None;
                    account.moved(self.leases.facts(state.leases[lease].row).home);
                }
            }
        }
        if !state.workers.is_empty() {
            self.policy_acts(state, Action::Answer(0, Reply::Accepted));
        }
    }

    /// Reads show what is.
    fn end_looks(&self, state: &mut State) {
        while let Some(look) = state.looks.as_slice().first().copied() {
            let seen: Shown = state.accounts[usize::from(look.account)].shown;
            let action = match self.holder(state, look).map(|holder| state.accounts[holder].shown) {
                Some(other) => Action::LooksAlong { look: 0, seen, behind: false, other, other_behind: false },
                None => Action::LookEnds { look: 0, seen, behind: false, again: false },
            };
            self.policy_acts(state, action);
        }
    }
}
