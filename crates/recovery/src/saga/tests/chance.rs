//! Recoveries in a world that repeats, reorders, delays and loses: whatever happens, the rules hold and the end comes.

use proptest::prelude::*;

use super::*;
use crate::saga::outcome::Outcome;

/// What the others would say, in a small model of them.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the world")]
struct World {
    /// On its way to the saga, in no order.
    mail: Vec<Input>,
    /// The lease at policy: version and state.
    lease: Option<(i64, LeaseState)>,
    slot_held: i64,
    lend_sent: bool,
    tombstone: bool,
    factor: Option<Factor>,
    will_enrol: bool,
    owner_told: bool,
    returns_asked: usize,
    news: Vec<Input>,
}

impl World {
    fn lease_is_open(&self) -> bool {
        self.lease.as_ref().is_some_and(|(_, state)| !matches!(state, LeaseState::Closed(_)))
    }

    fn tell(&mut self, input: Input) {
        self.news.push(input.clone());
        self.mail.push(input);
    }

    fn lease_becomes(&mut self, state: LeaseState) {
        let version = self.lease.as_ref().map_or(1, |(version, _)| version + 1);
        self.lease = Some((version, state.clone()));
        self.tell(lease_with(version, state, self.factor.unwrap_or(Factor::Absent)));
    }

    /// A repeated command is answered again with the present state.
    fn repeat_lease(&mut self) {
        if let Some((version, state)) = self.lease.clone() {
            self.mail.push(lease_with(version, state, self.factor.unwrap_or(Factor::Absent)));
        }
    }

    fn obey(&mut self, command: &Command) {
        match command {
            Command::TakeSlot => {
                self.slot_held = 1;
                self.mail.push(Input::SlotTaken);
            }
            Command::GiveSlotBack => self.slot_held = 0,
            Command::Lend => {
                self.lend_sent = true;
                match (&self.lease, self.tombstone) {
                    (None, false) => {
                        self.lease_becomes(LeaseState::Opening);
                        self.lease_becomes(LeaseState::Active);
                    }
                    _ => self.repeat_lease(),
                }
            }
            Command::Return(_) => {
                self.returns_asked += 1;
                match self.lease.clone() {
                    None => {
                        self.tombstone = true;
                        self.lease_becomes(LeaseState::Closed(LeaseEnd::NeverLent));
                    }
                    Some((_, LeaseState::Closed(_))) => self.repeat_lease(),
                    Some(_) => {
                        self.lease_becomes(LeaseState::Closing);
                        self.lease_becomes(LeaseState::Closed(LeaseEnd::Home));
                    }
                }
            }
            Command::ResetFactor => {
                self.factor = Some(Factor::Absent);
                self.mail.push(Input::FactorReset(ResetAnswer::Gone));
            }
            Command::Watch => {
                self.mail.push(absent());
                if self.will_enrol {
                    self.mail.push(enrolled());
                }
            }
            Command::CleanWindow => self.mail.push(cleaned()),
            Command::Tell(notice, to) => {
                self.owner_told |= *notice == Notice::Closed && *to == Recipient::Owner;
                self.mail.push(noticed(*notice, to.clone()));
            }
            Command::AskApprovers | Command::WithdrawVotes | Command::Unwatch => {}
        }
    }
}

/// What chance does next.
#[derive(Debug, Clone)]
enum Chance {
    Deliver(usize),
    Repeat(usize),
    Lose(usize),
    Old(usize),
    Person(u8),
    PolicyEndsIt,
    Wait(i64),
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => any::<usize>().prop_map(Chance::Deliver),
        2 => any::<usize>().prop_map(Chance::Repeat),
        1 => any::<usize>().prop_map(Chance::Lose),
        1 => any::<usize>().prop_map(Chance::Old),
        3 => (0u8..9).prop_map(Chance::Person),
        1 => Just(Chance::PolicyEndsIt),
        2 => (1i64..20_000).prop_map(Chance::Wait),
    ]
}

fn act(n: u8) -> Input {
    match n {
        0 => cancel(),
        1 => return_now(),
        2 => Input::Repudiated,
        3 => vote("boris", false),
        4 => confirmed(),
        5 | 6 => proof(ProofKind::CallBack),
        _ => vote("anna", true),
    }
}

struct Run {
    case: Case,
    world: World,
}

impl Run {
    fn obey_and_check(&mut self) -> Result<(), TestCaseError> {
        for command in self.case.asked.clone() {
            self.world.obey(&command);
        }
        let closed = self.case.progress.is_closed();
        if closed {
            prop_assert!(!self.world.lend_sent || self.case.data().lease_end().is_some(), "closed without the lease's end");
            prop_assert!(!self.world.lease_is_open(), "closed with the lease open");
            prop_assert!(self.world.owner_told, "closed without telling the owner");
            prop_assert_eq!(self.world.slot_held, 0, "closed with the slot held");
        }
        if self.case.step() == "return" {
            prop_assert!(self.world.returns_asked > 0, "waits for a return that nobody asked for");
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), TestCaseError> {
        self.case.take(input);
        self.obey_and_check()
    }

    fn happen(&mut self, chance: &Chance) -> Result<(), TestCaseError> {
        let mail = self.world.mail.len();
        match chance {
            Chance::Deliver(n) if mail > 0 => {
                let input = self.world.mail.swap_remove(n % mail);
                self.take(input)
            }
            Chance::Repeat(n) if mail > 0 => self.take(self.world.mail[n % mail].clone()),
            Chance::Lose(n) if mail > 0 => {
                self.world.mail.swap_remove(n % mail);
                Ok(())
            }
            Chance::Old(n) if !self.world.news.is_empty() => self.take(self.world.news[n % self.world.news.len()].clone()),
            Chance::Person(n) => self.take(act(*n)),
            Chance::PolicyEndsIt if self.world.lease_is_open() => {
                self.world.lease_becomes(LeaseState::Closing);
                self.world.lease_becomes(LeaseState::Closed(LeaseEnd::Home));
                Ok(())
            }
            Chance::Wait(seconds) => {
                self.case.wait(TimeDelta::seconds(*seconds));
                self.obey_and_check()
            }
            Chance::Deliver(_) | Chance::Repeat(_) | Chance::Lose(_) | Chance::Old(_) | Chance::PolicyEndsIt => Ok(()),
        }
    }

    /// Faults end: everything is delivered, and time passes.
    fn calm_down(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..400 {
            if self.case.progress.is_closed() {
                return Ok(());
            }
            while !self.world.mail.is_empty() {
                let input = self.world.mail.remove(0);
                self.take(input)?;
            }
            self.case.wait(TimeDelta::minutes(10));
            self.obey_and_check()?;
        }
        Err(TestCaseError::fail(format!("still at {} after all faults ended", self.case.step())))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_account_comes_home_and_everyone_is_told(
        happenings in prop::collection::vec(chance(), 0..60),
        will_enrol: bool,
        factor in prop_oneof![Just(Factor::Absent), Just(Factor::Enrolled), Just(Factor::Unknown)],
    ) {
        let world = World { will_enrol, factor: Some(factor), ..World::default() };
        let mut run = Run { case: Case::new(), world };
        run.obey_and_check()?;
        for happening in &happenings {
            run.happen(happening)?;
        }
        run.calm_down()?;
        let outcome = Outcome::of(run.case.data());
        let enrolled = run.case.data().enrolled_at.is_some() && run.case.data().repudiated_at.is_none();
        prop_assert_eq!(outcome == Outcome::Enrolled, enrolled && run.case.data().was_opened(), "{:?}", outcome);
    }

    #[test]
    fn any_order_of_the_same_facts_ends_at_the_same_step(order in Just((0..7).collect::<Vec<usize>>()).prop_shuffle()) {
        let facts = [
            lease(1, LeaseState::Opening), lease(2, LeaseState::Active), absent(), enrolled(),
            noticed(Notice::Invitation, Recipient::Owner), lease(3, LeaseState::Closing), lease(4, LeaseState::Closed(LeaseEnd::Home)),
        ];
        let mut case = Case::at("lend");
        for n in order {
            case.take(facts[n].clone());
        }
        prop_assert_eq!(case.step(), "clean");
        prop_assert_eq!(Outcome::of(case.data()), Outcome::Enrolled);
    }
}
