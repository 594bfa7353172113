//! How large a model is, and what may happen in it.

use std::fmt;

use super::fault::{Fault, Faults};
use super::mutation::Mutation;
use super::place::Versions;
use super::scale::Scale;

/// Bounds of one model.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What it is called.
    pub name: &'static str,
    /// The account of each case; cases of one account come one after the other.
    pub cases: &'static [u8],
    /// Accounts that no case is about.
    pub bystanders: usize,
    /// Rooms for leases that the census opens, one for each account that has one.
    pub spare: usize,
    /// Policy's workers: calls to the provider at a time.
    pub workers: usize,
    /// Reads under way at a time: patrol, census, and what precedes a lend.
    pub looks: usize,
    /// Recovery's replicas that handle the same case. All but one may stand still between a decision and its write.
    pub coordinators: usize,
    /// How the provider numbers placements.
    pub versions: Versions,
    /// What becomes of messages.
    pub network: Network,
    /// How long everything may take that nothing is wrong with.
    pub pace: Pace,
    /// Who asks for lends and returns.
    pub recovery: Recovery,
    /// Leases of one account may be asked for at once, not only one after the other.
    pub at_once: bool,
    /// A worker writes all that is ready at once.
    pub batches: bool,
    /// The provider may refuse a call as a whole, as often as it likes. That is no fault: it says so.
    pub refuses: bool,
    /// What may go wrong.
    pub faults: Faults,
    /// How many kinds may go wrong in one run, each once; `None`: all of them, as often as they like.
    pub kinds_in_a_run: Option<u32>,
    /// Where kinds are limited: after another kind only this one.
    pub with: Option<Fault>,
    /// How often processes may crash in one run, where kinds are limited.
    pub crashes: u8,
    /// What persons do.
    pub persons: Persons,
    /// Time.
    pub scale: Scale,
    /// The mistake that the checker is to find, if any.
    pub mutation: Option<Mutation>,
}

/// What becomes of messages between the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Each is delivered, repeated, overtaken or lost by a step of its own.
    Explicit,
    /// Each stays under way for ever, and may arrive at any moment, again and again, or never: every loss, repetition and
    /// order at once, in far fewer states. A message that can change nothing any more is left out.
    Forever,
}

/// How long everything may take that nothing is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Any time: whoever is to do something may do it ticks later, or never.
    Any,
    /// Not a tick: what can be done is done before time passes, in any order. Whoever stands still meanwhile is a fault, and
    /// is counted.
    Prompt,
}

/// Who asks policy for lends and returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Production's saga.
    Saga,
    /// Anyone, at any time, whatever they know: every saga that can be written, and every person with a button.
    Anyone,
}

/// What persons do, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Persons {
    /// The requester cancels.
    pub cancel: bool,
    /// The user sets up a new factor.
    pub enrol: bool,
    /// Two persons release the account.
    pub release: bool,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (versions, network) = (self.versions, self.network);
        write!(f, "{}; versions {versions:?}, messages {network:?}", self.name)?;
        write!(f, ", pace {:?}, asked by {:?}, {} leases", self.pace, self.recovery, self.cases.len())?;
        write!(f, ", {} workers, {} reads, {} coordinators", self.workers, self.looks, self.coordinators)?;
        if let Some(kinds) = self.kinds_in_a_run {
            write!(f, ", {kinds} kinds of fault in a run")?;
        }
        if !self.refuses {
            f.write_str(", no call refused as a whole")?;
        }
        if let Some(mutation) = self.mutation {
            write!(f, ", mutation {mutation:?}")?;
        }
        Ok(())
    }
}

impl Setup {
    /// One account, one lease, one worker, everything may go wrong.
    pub fn one_lease(versions: Versions) -> Self {
        Self {
            name: "one account, one lease",
            cases: &[0],
            bystanders: 0,
            spare: 1,
            workers: 1,
            looks: 1,
            coordinators: 1,
            versions,
            network: Network::Forever,
            pace: Pace::Any,
            recovery: Recovery::Saga,
            at_once: false,
            batches: false,
            refuses: true,
            faults: Faults::MESSAGES_AND_PROCESSES,
            kinds_in_a_run: None,
            with: None,
            crashes: 2,
            persons: Persons { cancel: true, enrol: true, ..Persons::default() },
            scale: Scale::SMALL,
            mutation: None,
        }
    }

    /// Every two kinds of fault in one run, with an explicit network; crashes twice.
    #[must_use]
    pub fn pairs(self) -> Self {
        Self {
            network: Network::Explicit,
            pace: Pace::Prompt,
            kinds_in_a_run: Some(2),
            faults: self.faults.with(Fault::Pause),
            ..self
        }
    }

    /// Two leases of one account one after the other, asked for and ended by anyone at any time.
    pub fn leases_alone(versions: Versions) -> Self {
        Self {
            name: "two leases of one account, asked for by anyone",
            cases: &[0, 0],
            recovery: Recovery::Anyone,
            workers: 2,
            ..Self::one_lease(versions)
        }
    }

    /// Every two kinds of fault in one run: one lease, the saga, two coordinators, two workers.
    pub fn pairs_of_one_lease() -> Self {
        let one = Self { workers: 2, coordinators: 2, ..Self::one_lease(Versions::Trusted) };
        Self { name: "one lease, every two kinds of fault", ..one.pairs() }
    }

    /// Every two kinds of fault in one run: two leases, asked for and ended by anyone, two workers.
    pub fn pairs_of_two_leases() -> Self {
        Self { name: "two leases asked for by anyone, every two kinds of fault", ..Self::leases_alone(Versions::Trusted).pairs() }
    }

    /// Two leases, two sagas one after the other, two coordinators, two workers; `kinds` kinds of fault in a run.
    pub fn two_sagas(kinds: u32) -> Self {
        let cases: &[u8] = &[0, 0];
        Self { name: "two leases, two sagas", cases, kinds_in_a_run: Some(kinds), ..Self::pairs_of_one_lease() }
    }

    /// Two leases, two sagas one after the other, two coordinators, two workers: every two of the kinds that break messages,
    /// crash processes, or make the provider late, silent or out of date, in one run.
    pub fn pairs_of_two_sagas() -> Self {
        let two = Self::two_sagas(2);
        let faults = two.faults.without(Fault::NeverApplied).without(Fault::Pause);
        Self { name: "two leases, two sagas, every two kinds of fault", faults, ..two }
    }

    /// The same, where a process stands still, alone and with every other kind of fault.
    pub fn pauses_of_two_sagas() -> Self {
        Self { name: "two leases, two sagas, a pause", with: Some(Fault::Pause), ..Self::two_sagas(2) }
    }

    /// Two accounts whose writes go out in one batch: half a batch, alone and with every other kind of fault.
    pub fn batches() -> Self {
        let alone = Self::leases_alone(Versions::Trusted).pairs();
        Self {
            name: "two accounts, batches",
            cases: &[0, 1],
            spare: 2,
            batches: true,
            workers: 1,
            faults: alone.faults.with(Fault::HalfBatch),
            with: Some(Fault::HalfBatch),
            ..alone
        }
    }

    /// The same where the provider refuses no call as a whole: so few states that rarer kinds fit in, or a third lease.
    #[must_use]
    pub fn never_refused(self) -> Self {
        Self { refuses: false, ..self }
    }

    /// Two accounts with a saga each, whose writes go out in one batch.
    pub fn batches_of_sagas() -> Self {
        let persons = Persons::default();
        Self { name: "two accounts, two sagas, batches", recovery: Recovery::Saga, persons, ..Self::batches() }
    }

    /// Two accounts, three sagas: two of one account one after the other, one of the other account, in batches.
    pub fn three_sagas() -> Self {
        Self { name: "two accounts, three sagas, batches", cases: &[0, 0, 1], with: None, ..Self::batches_of_sagas() }
    }

    /// One lease that anyone asks for, of an account that a person moves by hand; everything else may go wrong, too.
    pub fn by_hand(versions: Versions) -> Self {
        let alone = Self::leases_alone(versions);
        let faults = alone.faults.with(Fault::Hand);
        Self { name: "one lease asked for by anyone, moved by hand", cases: &[0], workers: 1, faults, ..alone }
    }

    /// One lease with its saga, of an account that a person moves by hand, alone and with every other kind of fault.
    pub fn pairs_by_hand() -> Self {
        let one = Self::one_lease(Versions::Trusted).pairs();
        let (faults, with) = (one.faults.with(Fault::Hand), Some(Fault::Hand));
        Self { name: "one lease, moved by hand", faults, with, ..one }
    }

    /// One lease that anyone asks for, of an account that swaps its address with one that is not lent, alone and with every other
    /// kind of fault.
    pub fn pairs_swapped() -> Self {
        let one = Self::leases_alone(Versions::Trusted).pairs();
        let faults = one.faults.with(Fault::Swap).with(Fault::Hand).without(Fault::ReturnBeyond);
        let with = Some(Fault::Swap);
        let name = "one lease asked for by anyone, addresses swapped";
        Self { name, cases: &[0], bystanders: 1, spare: 2, workers: 1, faults, with, ..one }
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        usize::from(self.cases.iter().copied().max().unwrap_or(0)) + 1 + self.bystanders
    }

    /// How many leases there can be: one for each case, and the spare ones.
    pub fn leases(&self) -> usize {
        self.cases.len() + self.spare
    }

    /// Whose lease this is.
    pub fn account_of(&self, lease: usize) -> usize {
        self.cases.get(lease).map_or_else(|| lease - self.cases.len(), |account| usize::from(*account))
    }
}
