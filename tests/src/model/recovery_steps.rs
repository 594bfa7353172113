//! Which steps are possible: of recovery, of persons, and of messages.

use super::action::Action;
use super::case_book::{Arrives, CaseStep};
use super::fault::Fault;
use super::machine::{Machine, small};
use super::setup::Network;
use super::state::{Held, State, What};

impl Machine {
    pub(super) fn recovery_steps(&self, state: &State, steps: &mut Vec<Action>) {
        for at in 0..self.setup.cases.len() {
            if !state.cases[at].begun {
                if self.may_begin(state, at) {
                    steps.push(Action::Begin(small(at)));
                }
                continue;
            }
            self.message_steps(state, at, steps);
            self.arrivals(state, at, steps);
            if self.may_hold(state) {
                steps.extend(self.decisions(state, at).map(|what| Action::Hold(small(at), what)));
            }
        }
    }

    /// While a coordinator has not written yet, only what another one does to the same case can matter to it: everything else
    /// might as well have happened before it decided, or after it wrote.
    pub(super) fn race_steps(&self, state: &State, held: Held, steps: &mut Vec<Action>) {
        self.arrivals(state, usize::from(held.case), steps);
        steps.push(Action::Write);
        if self.may(state, Fault::Crash) {
            steps.push(Action::CoordinatorDies);
        }
    }

    /// What a coordinator can decide about a case, in the order in which it comes.
    fn decisions(&self, state: &State, at: usize) -> impl Iterator<Item = What> {
        let case = &state.cases[at];
        let facts = (case.row > 0).then(|| self.cases.facts(case.row));
        let open = facts.is_some_and(|facts| facts.step != CaseStep::Past);
        let due = facts.is_some_and(|facts| facts.due.is_some_and(|due| due <= 0));
        let cancel = self.setup.persons.cancel && open && self.cases.plan(case.row, Arrives::Cancelled).changed;
        let enrol = self.setup.persons.enrol && facts.is_some_and(|facts| facts.step == CaseStep::Help);
        let news = case.news.as_slice().first().map(|news| What::News(*news));
        let rest = [(due, What::Tick), (cancel, What::Cancelled), (enrol, What::Enrolled)];
        news.into_iter().chain(rest.into_iter().filter(|(may, _)| *may).map(|(_, what)| what))
    }

    /// What arrives at a case, is decided and written at once.
    fn arrivals(&self, state: &State, at: usize, steps: &mut Vec<Action>) {
        let number = small(at);
        steps.extend(self.decisions(state, at).filter_map(|what| match what {
            What::Tick => Some(Action::CaseTick(number)),
            What::Cancelled => Some(Action::Cancel(number)),
            What::Enrolled => Some(Action::Enrol(number)),
            // With all that can happen to a message.
            What::News(_) => None,
        }));
        self.news_steps(state, at, steps);
    }

    fn message_steps(&self, state: &State, at: usize, steps: &mut Vec<Action>) {
        let (case, number) = (&state.cases[at], small(at));
        let explicit = self.setup.network == Network::Explicit;
        let (loss, twice) = (explicit && self.may(state, Fault::Loss), explicit && self.may(state, Fault::Duplicate));
        if case.lend {
            if self.lend_may_arrive(state, at) {
                steps.push(Action::LendArrives(number));
            }
            if loss {
                steps.push(Action::LendLost(number));
            }
        }
        if case.bring_home && (!case.lend || self.may(state, Fault::Reorder)) {
            steps.push(Action::ReturnArrives(number, false));
            if twice {
                steps.push(Action::ReturnArrives(number, true));
            }
        }
        if case.bring_home && loss {
            steps.push(Action::ReturnLost(number));
        }
    }

    fn news_steps(&self, state: &State, at: usize, steps: &mut Vec<Action>) {
        let (case, number) = (&state.cases[at], small(at));
        let explicit = self.setup.network == Network::Explicit;
        for nth in 0..case.news.len() {
            if nth == 0 || self.may(state, Fault::Reorder) {
                steps.push(Action::NewsArrives(number, small(nth), false));
                if explicit && self.may(state, Fault::Duplicate) {
                    steps.push(Action::NewsArrives(number, small(nth), true));
                }
            }
            if explicit && self.may(state, Fault::Loss) {
                steps.push(Action::NewsLost(number, small(nth)));
            }
        }
    }
}
