//! The whole as a [`stateright::Model`]: which steps are possible, and what each leads to.

use homeward_policy::lease::Kind;
use stateright::{Model, Property};

use super::action::Action;
use super::calm::Calm;
use super::case_book::{Arrives, CaseBook, CaseStep};
use super::fault::{Fault, Faults, Pairs, Tally};
use super::law::Law;
use super::lease_book::{Happening, LeaseBook, Reply, Stage};
use super::place::{Account, Effect, Place};
use super::policy::Verdicts;
use super::scale::Ticks;
use super::setup::{Network, Pace, Recovery, Setup};
use super::state::{Busy, Held, Lease, Leases, Look, State, What, Why};

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
    fn is_late(&self, until: Ticks) -> bool {
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
    fn note(&self, state: &mut State, kind: Fault) {
        if self.setup.kinds_in_a_run.is_some() {
            state.faults = state.faults.with(kind);
            state.crashes += u8::from(kind == Fault::Crash);
        }
    }

    fn steps(&self, state: &State, steps: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if let Some(held) = state.held.as_slice().first() {
            self.race_steps(state, *held, steps);
            return;
        }
        self.provider_steps(state, steps);
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
            if self.setup.persons.hand && !state.handed {
                steps.push(Action::Hand(number));
            }
        }
    }

    fn return_may_land(&self, state: &State, account: usize) -> bool {
        let account = &state.accounts[account];
        let Some(age) = account.returning else { return false };
        account.shown.place != Place::Home && self.lateness(age).is_none_or(|kind| self.may(state, kind))
    }

    /// What kind of trouble a return is that takes effect so long after it was sent.
    fn lateness(&self, age: i8) -> Option<Fault> {
        match age {
            0 => None,
            age if age <= self.setup.scale.late_limit => Some(Fault::ReturnLate),
            _ => Some(Fault::ReturnBeyond),
        }
    }

    fn recovery_steps(&self, state: &State, steps: &mut Vec<Action>) {
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
    fn race_steps(&self, state: &State, held: Held, steps: &mut Vec<Action>) {
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
        let refusable =
            |lease: usize| busy.kind == Kind::Return || under_way(&state.accounts[self.setup.account_of(lease)], lease);
        if busy.leases.iter().all(refusable) {
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

    /// A tick passes.
    pub fn pass(&self, state: &mut State) {
        let scale = &self.setup.scale;
        for account in &mut state.accounts[..self.setup.accounts()] {
            account.age(if self.setup.kinds_in_a_run.is_none() { 1 } else { scale.late_limit + 1 });
            let too_late = account.returning.and_then(|age| self.lateness(age));
            if too_late.is_some_and(|kind| !self.setup.faults.holds(kind)) {
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
            Action::Hand(account) => {
                state.handed = true;
                state.accounts[usize::from(account)].moved(Place::Elsewhere);
            }
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

    fn lend_lands(&self, state: &mut State, account: usize, nth: usize) {
        let effect = state.accounts[account].lends.remove(nth);
        if effect.until.is_some_and(|until| self.is_late(until)) {
            self.trouble(state, Fault::LendLate);
        }
        state.accounts[account].moved(Place::Recovery);
    }

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
        for number in 0..self.setup.accounts() {
            let own = |lease: &usize| self.setup.account_of(*lease) == number;
            let open = (0..self.setup.leases()).filter(own).any(|lease| self.leases.facts(state.leases[lease].row).is_open());
            let account = &mut state.accounts[number];
            let looked_at = state.looks.iter().any(|look| usize::from(look.account) == number);
            if !open && !looked_at && account.past.is_empty() {
                account.shown.version = 1;
                account.seen_before = account.seen_before.min(1);
                // What came too late has come, was found, and nothing of it can be seen any more.
                account.beyond &= account.is_out() || !account.lends.is_empty();
            }
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

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! laws {
            ($($law:ident),*) => {
                vec![
                    $(Property::<Self>::always(Law::$law.sentence(), |machine, state| Law::$law.holds(machine, state)),)*
                    Property::<Self>::always(COMES_HOME, |machine, state| machine.comes_home(state).is_some()),
                    Property::<Self>::always(ONE_CENSUS, |machine, state| machine.one_census_is_enough(state)),
                ]
            };
        }
        laws!(
            OutHasLease,
            OneOpenLease,
            ClosedStaysClosed,
            LeaseFirst,
            ForwardOnly,
            CasePastReturn,
            NewsForward,
            LateLentAsksReturn,
            OneLend,
            OnlyHoldersMove,
            NoReadyLend,
            HomeProtects
        )
    }
}

/// A lend of this lease is under way.
fn under_way(account: &Account, lease: usize) -> bool {
    account.lends.iter().any(|lend| usize::from(lend.lease) == lease && lend.until.is_some())
}

/// The promise itself.
pub const COMES_HOME: &str = "once faults end, everyone comes home";

/// The same beyond the limit.
pub const ONE_CENSUS: &str = "whoever is out beyond the limit is found by one census, and nobody else needs one";

/// What happens all the time, and is not a step of its own, where everything stays under way for ever.
fn unseen(faults: Faults) -> Faults {
    faults.without(Fault::Loss).without(Fault::Duplicate).without(Fault::ReturnBeyond)
}

impl Machine {
    /// Where everything stands, for people.
    pub fn show(&self, state: &State) -> Vec<String> {
        let mut rows = Vec::new();
        for (number, account) in state.accounts[..self.setup.accounts()].iter().enumerate() {
            let (place, version) = (account.shown.place, account.shown.version);
            rows.push(format!("account {number}: {place:?} in version {version}, {} lends under way", account.lends.len()));
        }
        for (number, lease) in state.leases[..self.setup.leases()].iter().enumerate() {
            if let Some(kept) = self.leases.kept(lease.row) {
                let attempts: Vec<String> =
                    kept.attempts.iter().map(|a| format!("{} {}", a.kind.name(), a.state.name())).collect();
                rows.push(format!("lease {number}: {:?}; {}", super::lease_book::stage(&kept.lease), attempts.join(", ")));
            }
        }
        for (number, case) in state.cases[..self.setup.cases.len()].iter().enumerate().filter(|(_, case)| case.row > 0) {
            let kept = self.cases.kept(case.row);
            rows.push(format!("case {number}: at {:?}, knows {:?}", kept.step, kept.data.lease.map(|lease| lease.state)));
        }
        rows
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
