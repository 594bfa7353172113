//! What goes wrong, by kind. Which faults a run may meet is drawn before it begins; each strikes where its hook says.

use std::collections::BTreeMap;
use std::fmt;

use super::agenda::Micros;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A message never arrives.
    Loss,
    /// A message arrives twice.
    Duplicate,
    /// A message arrives late.
    Delay,
    /// A message arrives before an earlier one about the same lease.
    Reorder,
    /// A queue loses everything that is in it.
    Purge,
    /// A process dies before or right after a commit, or at any moment, and starts again.
    Crash,
    /// A process stands still, also between its last look at the clock and its write.
    Pause,
    /// A process's clock steps forward or back, and is set right later.
    ClockStep,
    /// A lend takes effect late, within the limit.
    LendLate,
    /// A return takes effect late, within the limit.
    ReturnLate,
    /// A lend takes effect later than the limit.
    LendBeyond,
    /// A return takes effect later than the limit.
    ReturnBeyond,
    /// A write is executed, and its answer never comes.
    Timeout,
    /// A write is accepted, and never executed.
    NeverApplied,
    /// Only a part of a batch is executed.
    HalfBatch,
    /// One address makes the provider refuse every batch that holds it.
    BatchRefused,
    /// A read shows what was over when it began.
    StaleRead,
    /// The provider has no room for a call.
    TooMany,
    /// The provider does not answer anyone for a time.
    Outage,
    /// An account gets another address.
    Renamed,
    /// An account is suspended.
    Suspended,
    /// An account is deleted.
    Deleted,
    /// An administrator moves an account.
    MovedByHand,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::Loss,
        Self::Duplicate,
        Self::Delay,
        Self::Reorder,
        Self::Purge,
        Self::Crash,
        Self::Pause,
        Self::ClockStep,
        Self::LendLate,
        Self::ReturnLate,
        Self::LendBeyond,
        Self::ReturnBeyond,
        Self::Timeout,
        Self::NeverApplied,
        Self::HalfBatch,
        Self::BatchRefused,
        Self::StaleRead,
        Self::TooMany,
        Self::Outage,
        Self::Renamed,
        Self::Suspended,
        Self::Deleted,
        Self::MovedByHand,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "message lost",
            Self::Duplicate => "message repeated",
            Self::Delay => "message late",
            Self::Reorder => "message overtaken",
            Self::Purge => "queue purged",
            Self::Crash => "process crashed",
            Self::Pause => "process paused",
            Self::ClockStep => "clock stepped",
            Self::LendLate => "lend late, within the limit",
            Self::ReturnLate => "return late, within the limit",
            Self::LendBeyond => "lend beyond the limit",
            Self::ReturnBeyond => "return beyond the limit",
            Self::Timeout => "executed, answer lost",
            Self::NeverApplied => "accepted, never applied",
            Self::HalfBatch => "half a batch",
            Self::BatchRefused => "address refused with its batch",
            Self::StaleRead => "stale read",
            Self::TooMany => "429",
            Self::Outage => "outage",
            Self::Renamed => "account renamed",
            Self::Suspended => "account suspended",
            Self::Deleted => "account deleted",
            Self::MovedByHand => "account moved by hand",
        }
    }

    /// Whether writes may take effect later than the limit: then the promise is the tail reads'.
    pub fn is_beyond(self) -> bool {
        matches!(self, Self::LendBeyond | Self::ReturnBeyond)
    }
}

/// Where a fault strikes: at the nth of these about an account or process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// A message about the account is sent.
    Message,
    /// A lend of the account is written.
    Lend,
    /// A return of the account is written.
    Return,
    /// The account's placement is read.
    Read,
    /// The provider is called, by anyone (whom: 0).
    Call,
    /// The provider takes a batch of several accounts (whom: 0).
    Batch,
    /// The process commits.
    Commit,
    /// The process is about to write to the provider.
    Write,
    /// At its own time.
    Time,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where.
    pub hook: Hook,
    /// Which account, process or queue.
    pub whom: usize,
    /// At which one, from 1.
    pub nth: u32,
    /// At the hook [`Hook::Time`]: when.
    pub at: Micros,
    /// How long, how late, how far.
    pub length: Micros,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = super::agenda::told(self.length.abs());
        let back = if self.length < 0 { "-" } else { "" };
        write!(f, "{}: ", self.kind.name())?;
        match self.hook {
            Hook::Time => write!(f, "{} at {}, {back}{length}", self.whom, super::agenda::told(self.at)),
            hook => write!(f, "{hook:?} {} of {}, {back}{length}", self.nth, self.whom),
        }
    }
}

/// The faults of a run, by hook.
#[derive(Debug, Default)]
pub struct Armed {
    by_hook: BTreeMap<(Hook, usize, u32), Fault>,
    counts: BTreeMap<(Hook, usize), u32>,
}

impl Armed {
    /// These faults, but those that strike at their own time.
    pub fn new(faults: &[Fault]) -> Self {
        let hooked = faults.iter().filter(|fault| fault.hook != Hook::Time);
        Self { by_hook: hooked.map(|fault| ((fault.hook, fault.whom, fault.nth), *fault)).collect(), ..Self::default() }
    }

    /// One more passes this hook: which fault strikes?
    pub fn pass(&mut self, hook: Hook, whom: usize) -> Option<Fault> {
        if self.by_hook.is_empty() {
            return None;
        }
        let count = self.counts.entry((hook, whom)).or_default();
        *count += 1;
        self.by_hook.get(&(hook, whom, *count)).copied()
    }
}

/// How often each kind struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Kind, u64>);

impl Tally {
    /// Once more.
    pub fn count(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// How often.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// The kinds that struck.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.0.keys().copied()
    }

    /// These too.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }
}
