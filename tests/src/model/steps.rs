//! Which steps are possible: of the provider, of policy, and of time.

use homeward_policy::lease::Kind;

use super::action::Action;
use super::fault::Fault;
use super::lease_book::{Happening, Reply, Stage};
use super::machine::{Machine, small};
use super::place::Place;
use super::setup::{Network, Pace, Recovery};
use super::state::{Busy, Leases, Look, State, Why};

impl Machine {
    pub(super) fn steps(&self, state: &State, steps: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if let Some(held) = state.held.as_slice().first() {
            self.race_steps(state, *held, steps);
            return;
        }
        self.provider_steps(state, steps);
        self.swap_steps(state, steps);
        self.recovery_steps(state, steps);
        self.policy_steps(state, steps);
        if self.setup.pace == Pace::Any || !self.work_is_left(state) {
            if self.may_pass(state) {
                steps.push(Action::Time);
            }
        } else if self.may(state, Fault::Pause) {
            let mut paused = state.clone();
            self.note(&mut paused, Fault::Pause);
            if self.may_pass(&paused) {
                steps.push(Action::Pause);
            }
        }
    }

    fn provider_steps(&self, state: &State, steps: &mut Vec<Action>) {
        for at in 0..self.setup.accounts() {
            let (account, number) = (&state.accounts[at], small(at));
            for (nth, lend) in account.lends.iter().enumerate() {
                let nth = small(nth);
                steps.push(Action::LendLands(number, nth));
                if self.may(state, Fault::NeverApplied) {
                    steps.push(Action::LendVanishes(number, nth));
                }
                if lend.until == Some(0) && self.may(state, Fault::LendBeyond) {
                    steps.push(Action::LendBeyond(number, nth));
                }
            }
            if self.return_may_land(state, at) {
                steps.push(Action::ReturnLands(number));
            }
            if !state.handed && self.may(state, Fault::Hand) {
                let others = Place::ALL.into_iter().filter(|to| *to != account.shown.place);
                steps.extend(others.map(|to| Action::Hand(number, to)));
            }
        }
    }

    fn swap_steps(&self, state: &State, steps: &mut Vec<Action>) {
        if self.setup.accounts() == 2 && !state.swapped && self.may(state, Fault::Swap) {
            steps.push(Action::Swap);
        }
    }

    fn return_may_land(&self, state: &State, account: usize) -> bool {
        let account = &state.accounts[account];
        let Some(age) = account.returning else { return false };
        account.shown.place != Place::Home && self.lateness(age).is_none_or(|kind| self.may(state, kind))
    }

    /// What kind of trouble a return is that takes effect so long after it was sent.
    pub(super) fn lateness(&self, age: i8) -> Option<Fault> {
        match age {
            0 => None,
            age if age <= self.setup.scale.late_limit => Some(Fault::ReturnLate),
            _ => Some(Fault::ReturnBeyond),
        }
    }

    /// Whether a return of this age can take effect in no run any more.
    pub(super) fn is_too_late_for_ever(&self, age: i8) -> bool {
        let kinds = [Fault::ReturnLate, Fault::ReturnBeyond];
        let now = self.lateness(age);
        now.is_some_and(|now| !kinds.into_iter().any(|kind| kind >= now && self.setup.faults.holds(kind)))
    }

    fn policy_steps(&self, state: &State, steps: &mut Vec<Action>) {
        for (nth, look) in state.looks.iter().enumerate() {
            self.look_steps(state, small(nth), *look, steps);
        }
        for (nth, busy) in state.workers.iter().enumerate() {
            self.answer_steps(state, small(nth), *busy, steps);
        }
        for at in 0..self.setup.leases() {
            let (lease, number) = (&state.leases[at], small(at));
            if lease.row == 0 {
                continue;
            }
            let facts = self.leases.facts(lease.row);
            if !lease.confirmed && facts.is_open() {
                steps.push(Action::Confirm(number));
            }
            if facts.tick_at.is_some_and(|tick_at| tick_at <= 0) {
                steps.push(Action::LeaseTick(number));
            }
            let releasable = matches!(facts.stage, Some(Stage::Active | Stage::Closing | Stage::Settling));
            if self.setup.persons.release && releasable && self.leases.happen(lease.row, Happening::Released).changed {
                steps.push(Action::Release(number));
            }
        }
        if state.workers.len() < self.setup.workers {
            for kind in [Kind::Lend, Kind::Return] {
                let batch = self.batch(state, kind);
                if self.setup.batches && !batch.is_empty() {
                    steps.push(Action::Mark(batch, kind));
                } else {
                    steps.extend(batch.iter().map(|lease| Action::Mark(Leases::one(lease), kind)));
                }
            }
        }
        for account in 0..self.setup.accounts() {
            if let Some(why) = self.may_look(state, account) {
                steps.push(if why == Why::Census {
                    Action::CensusLooks(small(account))
                } else {
                    Action::PatrolLooks(small(account))
                });
            }
        }
    }

    fn look_steps(&self, state: &State, nth: u8, look: Look, steps: &mut Vec<Action>) {
        let account = &state.accounts[usize::from(look.account)];
        let asked = matches!(look.why, Why::Lend { .. });
        for (seen, behind) in account.visible(look.begun, &self.setup.scale) {
            if behind && !self.may(state, Fault::StaleRead) {
                continue;
            }
            if let Some(other) = self.holder(state, look) {
                for (other, other_behind) in state.accounts[other].visible(0, &self.setup.scale) {
                    if !other_behind || behind || self.may(state, Fault::StaleRead) {
                        steps.push(Action::LooksAlong { look: nth, seen, behind, other, other_behind });
                    }
                }
                continue;
            }
            steps.push(Action::LookEnds { look: nth, seen, behind, again: false });
            if asked && self.setup.network == Network::Explicit && self.may(state, Fault::Duplicate) {
                steps.push(Action::LookEnds { look: nth, seen, behind, again: true });
            }
        }
    }

    fn answer_steps(&self, state: &State, nth: u8, busy: Busy, steps: &mut Vec<Action>) {
        steps.push(Action::Answer(nth, Reply::Accepted));
        if self.may(state, Fault::Timeout) {
            steps.push(Action::Answer(nth, Reply::Unknown));
        }
        let refusable = |lease: usize| busy.kind == Kind::Return || state.lend_in_time(lease);
        if self.setup.refuses && busy.leases.iter().all(refusable) {
            steps.push(Action::Answer(nth, Reply::Refused));
            if busy.kind == Kind::Lend {
                steps.push(Action::Answer(nth, Reply::Impossible));
            }
        }
        if busy.leases.is_batch() && self.may(state, Fault::HalfBatch) {
            for lease in busy.leases.iter() {
                steps.push(Action::AnswerPart(nth, small(lease), Reply::Unknown));
                if refusable(lease) {
                    steps.push(Action::AnswerPart(nth, small(lease), Reply::Refused));
                }
            }
        }
        if self.may(state, Fault::Crash) {
            steps.push(Action::WorkerDies(nth, true));
            if busy.kind == Kind::Lend && busy.leases.iter().all(refusable) {
                steps.push(Action::WorkerDies(nth, false));
            }
        }
    }

    /// Time stands still for what must happen first.
    fn may_pass(&self, state: &State) -> bool {
        let late = self.may(state, Fault::LendLate);
        let accounts = &state.accounts[..self.setup.accounts()];
        accounts.iter().all(|account| {
            let lends = account.lends.iter().all(|lend| match lend.until {
                Some(until) => late && until > 0,
                None => true,
            });
            let returns =
                account.returning != Some(0) || account.shown.place == Place::Home || self.may(state, Fault::ReturnLate);
            lends && returns
        })
    }

    /// Something can be done without anything going wrong.
    fn work_is_left(&self, state: &State) -> bool {
        let due = |moment: Option<i8>| moment.is_some_and(|moment| moment <= 0);
        let asked = self.setup.recovery == Recovery::Saga;
        let cases = state.cases[..self.setup.cases.len()].iter().any(|case| {
            let own = case.row > 0 && due(self.cases.facts(case.row).due);
            case.lend || (asked && case.bring_home) || !case.news.is_empty() || own
        });
        let leases = (0..self.setup.leases()).any(|lease| {
            let facts = self.leases.facts(state.leases[lease].row);
            let marks = [Kind::Lend, Kind::Return].into_iter().any(|kind| self.may_mark(state, lease, kind));
            facts.is_open() && (!state.leases[lease].confirmed || due(facts.tick_at) || due(facts.read_at) || marks)
        });
        let flights = !state.workers.is_empty() || !state.looks.is_empty() || !state.held.is_empty();
        cases || leases || flights
    }
}
