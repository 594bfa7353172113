//! What a seed decides before a run begins: how large it is, what persons will do, and which faults lie in wait.

use std::time::Duration;

use homeward_types::Limits;

use super::agenda::{Act, HOUR, MS, Micros, SECOND, micros};
use super::chance::Chance;
use super::fault::{Fault, Hook, Kind};
use super::process::{PROCESSES, Service};
use crate::model::mutation::Mutation;
use crate::model::place::Versions;

/// A run that has not begun. Leaving out cases or faults leaves the others as they are.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What everything else was drawn from.
    pub seed: u64,
    /// The organisation's limits.
    pub limits: Limits,
    /// How the provider numbers placements.
    pub versions: Versions,
    /// Managed accounts that take part.
    pub accounts: usize,
    /// How many may be out at once.
    pub cap: i64,
    /// The longest that a call to the provider takes.
    pub latency: Micros,
    /// Recoveries.
    pub cases: Vec<CaseDraft>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// From here on nothing goes wrong.
    pub calm_from: Micros,
    /// How far clocks are apart at the most.
    pub skew: Micros,
    /// The mistake that the run is to find, if any.
    pub mutation: Option<Mutation>,
}

/// One recovery, as persons will act.
#[derive(Debug, Clone)]
pub struct CaseDraft {
    /// Its number; a case keeps it when others are left out.
    pub number: usize,
    /// Whose.
    pub account: usize,
    /// It begins when the account's recovery of this number is closed; then `at` counts from there.
    pub after: Option<usize>,
    /// When it is asked for.
    pub at: Micros,
    /// When proof comes, after the request.
    pub proof: Micros,
    /// When the approval comes, after the request.
    pub approval: Micros,
    /// When the user sets up a new factor, after the invitation; never, if unset.
    pub enrols: Option<Micros>,
    /// What else somebody does, and when, after the request.
    pub also: Option<(Micros, Act)>,
}

impl Draft {
    /// Draws everything.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 0);
        let short = !chance.one_in(4);
        let limits = if short { Limits::short() } else { Limits::default() };
        // Directory looks seldom: what it reads decides nothing about where an account is.
        let limits = Limits { watch: limits.lease / 60, ..limits };
        let most = if chance.one_in(8) { 46 } else { 12 };
        let accounts = chance.index(most) + 5;
        let mut draft = Self {
            seed,
            versions: chance.pick(&[Versions::Trusted, Versions::Trusted, Versions::Unproved, Versions::None, Versions::Stuck]),
            accounts,
            cap: Micros::try_from(chance.index(accounts)).unwrap_or(0) + 2,
            latency: if short { 15 * MS } else { 400 * MS },
            cases: Vec::new(),
            faults: Vec::new(),
            calm_from: chance.within(micros(limits.lease) / 3, micros(limits.lease) * 3 / 2),
            skew: 0,
            mutation: None,
            limits,
        };
        draft.draw_cases(&mut chance);
        draft.draw_faults(&mut chance);
        draft
    }

    /// Whether writes may take effect later than the limit.
    pub fn goes_beyond(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind.is_beyond())
    }

    fn draw_cases(&mut self, chance: &mut Chance) {
        let lease = micros(self.limits.lease);
        let together = chance.one_in(2);
        let mut at = 0;
        for account in 0..self.accounts {
            if !together || chance.one_in(8) {
                at = chance.within(0, lease / 4);
            }
            let first = self.cases.len();
            let case = Self::draw_case(chance, account, at, lease);
            self.cases.push(CaseDraft { number: first, ..case });
            if chance.one_in(3) {
                let soon = if chance.one_in(2) { 0 } else { chance.within(0, lease / 2) };
                let second = Self::draw_case(chance, account, soon, lease);
                self.cases.push(CaseDraft { number: first + 1, after: Some(first), ..second });
            }
        }
    }

    fn draw_case(chance: &mut Chance, account: usize, at: Micros, lease: Micros) -> CaseDraft {
        let proof = if chance.one_in(2) { 0 } else { chance.within(0, lease / 20) };
        let approval = proof + if chance.one_in(2) { 0 } else { chance.within(0, lease / 20) };
        let act = |chance: &mut Chance| chance.pick(&[Act::Cancel, Act::Cancel, Act::ReturnNow, Act::Repudiate, Act::Release]);
        CaseDraft {
            number: 0,
            account,
            after: None,
            at,
            proof,
            approval,
            enrols: (!chance.one_in(6)).then(|| chance.within(0, lease / 3)),
            also: chance.one_in(5).then(|| (chance.within(0, lease), act(chance))),
        }
    }

    fn draw_faults(&mut self, chance: &mut Chance) {
        let drawn = |kind: &Kind| *kind != Kind::Reorder;
        // Every other seed meets one kind only: so the trouble that a kind makes by itself can be told.
        let alone = chance.one_in(2);
        let kinds: Vec<Kind> = if alone {
            let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(drawn).collect();
            vec![chance.pick(&kinds)]
        } else {
            let beyond = chance.one_in(8);
            Kind::ALL.into_iter().filter(drawn).filter(|kind| beyond || !kind.is_beyond()).collect()
        };
        if kinds.contains(&Kind::ClockStep) {
            self.skew = micros(self.limits.read_lag) / 8;
        }
        let count = chance.index(2 * self.accounts) + if alone { 3 } else { 6 };
        let beyond = usize::from(kinds.iter().any(|kind| kind.is_beyond()));
        for nth in 0..count {
            // A run that may go beyond the limit does.
            let kind = if nth < beyond {
                *kinds.iter().find(|kind| kind.is_beyond()).unwrap_or(&Kind::LendBeyond)
            } else {
                chance.pick(&kinds)
            };
            let fault = self.draw_fault(kind, chance);
            self.faults.push(fault);
        }
        self.faults.sort_unstable();
        self.faults.dedup();
    }

    fn draw_fault(&self, kind: Kind, chance: &mut Chance) -> Fault {
        let limits = &self.limits;
        let late = micros(limits.late_limit);
        let account = chance.index(self.accounts);
        let at = chance.within(0, self.calm_from - 1);
        let left = self.calm_from - at;
        let upto = |chance: &mut Chance, most: Duration| chance.within(MS, micros(most).max(2 * MS)).min(left);
        let timed = |whom, length| Fault { kind, hook: Hook::Time, whom, nth: 0, at, length };
        let hooked = |hook, whom, nth: usize, length| {
            let nth = u32::try_from(nth).unwrap_or(1) + 1;
            Fault { kind, hook, whom, nth, at: at % 2, length }
        };
        let write = if chance.one_in(2) { Hook::Lend } else { Hook::Return };
        match kind {
            Kind::Loss | Kind::Duplicate => hooked(Hook::Message, account, chance.index(24), 0),
            Kind::Delay | Kind::Reorder => {
                let length = chance.within(5 * MS, 2 * micros(limits.re_ask_max));
                hooked(Hook::Message, account, chance.index(24), length)
            }
            Kind::Purge => timed(chance.index(Service::ALL.len()), 0),
            Kind::Crash if chance.one_in(4) => timed(chance.index(PROCESSES), upto(chance, limits.claim * 2)),
            Kind::Crash => hooked(Hook::Commit, chance.index(PROCESSES), chance.index(50), upto(chance, limits.claim * 2)),
            Kind::Pause if chance.one_in(3) => timed(chance.index(PROCESSES), upto(chance, limits.late_limit * 3 / 4)),
            Kind::Pause => hooked(Hook::Write, chance.index(2), chance.index(6), upto(chance, limits.late_limit * 3 / 4)),
            Kind::ClockStep => {
                let far = chance.within(1, (micros(limits.read_lag) / 8).max(2));
                timed(chance.index(PROCESSES), if chance.one_in(2) { far } else { -far })
            }
            Kind::LendLate => hooked(Hook::Lend, account, chance.index(2), chance.within(late / 8, 2 * late)),
            Kind::ReturnLate => hooked(Hook::Return, account, chance.index(3), chance.within(late / 8, 2 * late)),
            Kind::LendBeyond => hooked(Hook::Lend, account, chance.index(2), chance.within(2 * late, 2 * late + 5 * HOUR)),
            Kind::ReturnBeyond => hooked(Hook::Return, account, chance.index(3), chance.within(2 * late, 2 * late + 5 * HOUR)),
            Kind::Timeout | Kind::NeverApplied => hooked(write, account, chance.index(2), 0),
            Kind::HalfBatch => hooked(Hook::Batch, 0, chance.index(3), 0),
            Kind::BatchRefused => timed(account, chance.within(SECOND.min(left), left)),
            Kind::StaleRead => hooked(Hook::Read, account, chance.index(6), self.staleness(chance)),
            Kind::TooMany => hooked(Hook::Call, 0, chance.index(40), chance.within(50 * MS, 5 * SECOND)),
            Kind::Outage => timed(usize::from(chance.one_in(2)), chance.within(MS, left)),
            Kind::Renamed | Kind::Suspended | Kind::Deleted => timed(account, 0),
            Kind::MovedByHand => timed(account, chance.within(0, 2)),
        }
    }

    /// How far behind a read may be, less what clocks are apart.
    fn staleness(&self, chance: &mut Chance) -> Micros {
        let most = micros(self.limits.read_lag) - 4 * (micros(self.limits.read_lag) / 8) * Micros::from(self.skew > 0);
        chance.within(most / 4, most)
    }
}
