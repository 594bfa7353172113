//! Recovery around its decisions: news that arrives, coordinators that write, commands that go out.

use super::action::Action;
use super::case_book::{Age, Arrives, CaseStep, Planned};
use super::fault::Fault;
use super::law::Law;
use super::lease_book::Stage;
use super::machine::{Machine, small};
use super::mutation::Mutation;
use super::setup::Recovery;
use super::state::{Case, Held, News, State, What};

impl Machine {
    /// One open recovery an account: the next begins when the one before is over.
    pub fn may_begin(&self, state: &State, case: usize) -> bool {
        let mut before = (0..case).filter(|earlier| self.setup.cases[*earlier] == self.setup.cases[case]);
        before.all(|earlier| match self.setup.recovery {
            Recovery::Saga => {
                let row = state.cases[earlier].row;
                row > 0 && self.cases.facts(row).step == CaseStep::Past
            }
            Recovery::Anyone if self.setup.at_once => true,
            Recovery::Anyone => self.leases.facts(state.leases[earlier].row).stage.is_some_and(|stage| !stage.is_open()),
        })
    }

    /// A case is granted its lend, and asks for it.
    pub fn begin(&self, state: &mut State, case: usize) {
        let (row, bring_home) = match self.setup.recovery {
            Recovery::Saga => (self.cases.granted(), false),
            Recovery::Anyone => (0, true),
        };
        let not_after = self.setup.scale.grant;
        state.cases[case] = Case { begun: true, row, not_after, lend: true, bring_home, ..Case::default() };
    }

    /// Policy tells where a lease stands. News that says the same as the newest under way takes its place.
    pub fn tell(&self, state: &mut State, case: usize, stage: Stage) {
        let version = state.leases[case].version.max(1);
        state.leases[case].version = version;
        let known = state.cases[case].known;
        let news = &mut state.cases[case].news;
        if let Some(last) = news.as_mut_slice().last_mut().filter(|last| last.stage == stage && last.version > known) {
            last.version = version;
            return;
        }
        if news.as_slice().last().is_none_or(|last| last.version < version) {
            news.push(News { version, stage });
        }
    }

    /// Drops commands that can change nothing any more: a lend for an id that has a row, a return of what is returned.
    pub fn tidy_commands(&self, state: &mut State, case: usize) {
        let stage = self.leases.facts(state.leases[case].row).stage;
        let one = &mut state.cases[case];
        if self.setup.recovery == Recovery::Anyone {
            one.bring_home = one.begun;
        }
        one.lend &= stage.is_none();
        one.bring_home &= stage.is_none_or(|stage| matches!(stage, Stage::Opening | Stage::Active));
    }

    /// Drops news that can change nothing, and numbers versions anew from 1 in their order.
    pub fn tidy_news(&self, state: &mut State, case: usize) {
        let believes_older = self.setup.mutation == Some(Mutation::LowerVersionAccepted);
        let one = &mut state.cases[case];
        let known = one.known;
        if !believes_older {
            let over = one.row > 0 && self.cases.facts(one.row).knows_end;
            one.news.retain(|news| news.version > known && !over);
        }
        let held = state.held.iter().filter(|held| usize::from(held.case) == case);
        let held = held.flat_map(|held| [Some(held.from.1), held.what.news().map(|news| news.version)]).flatten();
        let mut versions: Vec<u8> = one.news.iter().map(|news| news.version).chain(held).collect();
        versions.extend([known, state.leases[case].version]);
        versions.retain(|version| *version > 0);
        versions.sort_unstable();
        versions.dedup();
        let rank = |version: u8| versions.iter().position(|other| *other == version).map_or(0, |at| small(at + 1));
        one.known = rank(one.known);
        state.leases[case].version = rank(state.leases[case].version);
        for news in one.news.as_mut_slice() {
            news.version = rank(news.version);
        }
        for held in state.held.as_mut_slice().iter_mut().filter(|held| usize::from(held.case) == case) {
            held.from.1 = rank(held.from.1);
            if let What::News(news) = &mut held.what {
                news.version = rank(news.version);
            }
        }
    }

    /// Whether another coordinator can decide now and write later.
    pub fn may_hold(&self, state: &State) -> bool {
        state.held.len() + 1 < self.setup.coordinators
    }

    /// Something arrives at a case: a coordinator decides on the row as it is.
    fn held(&self, state: &State, case: usize, what: What) -> Held {
        let one = &state.cases[case];
        Held { case: small(case), what, from: (one.row, one.known), planned: self.decided(state, case, what) }
    }

    /// It writes at once.
    fn arrives(&self, state: &mut State, case: usize, what: What) {
        let held = self.held(state, case, what);
        self.write(state, held);
    }

    /// It stands still before it writes. News is not acknowledged meanwhile, and nobody else gets it.
    fn hold(&self, state: &mut State, case: usize, what: What) {
        let held = self.held(state, case, what);
        if let What::News(news) = what {
            state.cases[case].news.retain(|other| *other != news);
        }
        state.held.push(held);
    }

    /// What production's `plan` says about it now.
    fn decided(&self, state: &State, case: usize, what: What) -> Planned {
        let one = &state.cases[case];
        let arrives = match what {
            What::Tick => Arrives::Tick,
            What::Cancelled => Arrives::Cancelled,
            What::Enrolled => Arrives::Enrolled,
            What::News(news) => {
                let due = self.leases.facts(state.leases[case].row).due;
                Arrives::News(Age::of(news.version, one.known), news.stage, due)
            }
        };
        self.cases.plan(one.row, arrives)
    }

    /// The transaction's end: the row is written if it is as it was read, with the commands that it asks for.
    fn write(&self, state: &mut State, mut held: Held) {
        let case = usize::from(held.case);
        if (state.cases[case].row, state.cases[case].known) != held.from && self.setup.mutation != Some(Mutation::NoRowVersion) {
            // Somebody was faster: it is decided again on what is there now.
            held.planned = self.decided(state, case, held.what);
        }
        let before = self.cases.facts(state.cases[case].row);
        let one = &mut state.cases[case];
        one.row = held.planned.row;
        one.lend |= held.planned.lend;
        one.bring_home |= held.planned.bring_home;
        let What::News(news) = held.what else { return };
        if news.version < one.known && held.planned.changed {
            state.broken = Some(Law::NewsForward);
        }
        let late = news.version > one.known && news.stage == Stage::Active;
        if late && before.is_leaving && !before.knows_end && !one.bring_home {
            state.broken = Some(Law::LateLentAsksReturn);
        }
        if held.planned.changed {
            one.known = news.version;
        }
    }

    fn news_arrives(&self, state: &mut State, case: usize, nth: usize, again: bool) {
        let news = if again {
            self.trouble(state, Fault::Duplicate);
            state.cases[case].news.as_slice()[nth]
        } else {
            state.cases[case].news.remove(nth)
        };
        if nth > 0 {
            self.trouble(state, Fault::Reorder);
        }
        self.arrives(state, case, What::News(news));
    }

    /// A decision is not written. What it was about was never acknowledged, and comes again.
    pub fn give_up(&self, state: &mut State, held: Held) {
        let What::News(news) = held.what else { return };
        let all = &mut state.cases[usize::from(held.case)].news;
        if !all.iter().any(|other| other.version == news.version) {
            all.insert(news);
        }
    }

    /// A step of recovery, or of the broker.
    pub fn recovery_acts(&self, state: &mut State, action: Action) {
        match action {
            Action::Begin(case) => self.begin(state, usize::from(case)),
            Action::LendLost(case) => {
                self.trouble(state, Fault::Loss);
                state.cases[usize::from(case)].lend = false;
            }
            Action::ReturnLost(case) => {
                self.trouble(state, Fault::Loss);
                state.cases[usize::from(case)].bring_home = false;
            }
            Action::NewsArrives(case, nth, again) => self.news_arrives(state, usize::from(case), usize::from(nth), again),
            Action::NewsLost(case, nth) => {
                self.trouble(state, Fault::Loss);
                state.cases[usize::from(case)].news.remove(usize::from(nth));
            }
            Action::CaseTick(case) => self.arrives(state, usize::from(case), What::Tick),
            Action::Cancel(case) => self.arrives(state, usize::from(case), What::Cancelled),
            Action::Enrol(case) => self.arrives(state, usize::from(case), What::Enrolled),
            Action::Hold(case, what) => self.hold(state, usize::from(case), what),
            Action::Write => {
                let held = state.held.remove(0);
                self.write(state, held);
            }
            Action::CoordinatorDies => {
                self.trouble(state, Fault::Crash);
                let held = state.held.remove(0);
                self.give_up(state, held);
            }
            _ => {}
        }
    }
}
