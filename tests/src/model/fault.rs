//! What goes wrong, by kind.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// A message never arrives.
    Loss,
    /// A message arrives again.
    Duplicate,
    /// A message overtakes an earlier one.
    Reorder,
    /// A process dies between a commit and what follows it, and starts again.
    Crash,
    /// A lend takes effect after its worker has gone on, within the limit. A worker that is paused between its mark and
    /// its write looks the same.
    LendLate,
    /// A lend takes effect later than the limit.
    LendBeyond,
    /// A return takes effect late, within the limit.
    ReturnLate,
    /// A return takes effect later than the limit.
    ReturnBeyond,
    /// The provider does what it was asked, or not, and the answer proves nothing.
    Timeout,
    /// The provider accepts a lend and never does it.
    NeverApplied,
    /// A read shows what was over when it began.
    StaleRead,
    /// The provider takes a part of a batch.
    HalfBatch,
    /// A process, or the broker, stands still while time passes.
    Pause,
    /// A person moves an account by hand, once in a run.
    Hand,
    /// Two accounts swap their addresses, once in a run: what is under way to the one reaches the other.
    Swap,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Crash,
        Self::LendLate,
        Self::LendBeyond,
        Self::ReturnLate,
        Self::ReturnBeyond,
        Self::Timeout,
        Self::NeverApplied,
        Self::StaleRead,
        Self::HalfBatch,
        Self::Pause,
        Self::Hand,
        Self::Swap,
    ];

    /// Every two different kinds.
    pub fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().flat_map(|a| Self::ALL.into_iter().map(move |b| (a, b))).filter(|(a, b)| a < b)
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Several kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Faults(u16);

impl Faults {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every kind.
    pub const ALL: Self = Self((1 << Fault::ALL.len()) - 1);

    /// All but what takes a batch, a clockwork pace or the outside world to go wrong.
    pub const MESSAGES_AND_PROCESSES: Self =
        Self::ALL.without(Fault::HalfBatch).without(Fault::Pause).without(Fault::Hand).without(Fault::Swap);

    /// These.
    pub fn of(kinds: &[Fault]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | kind.bit()))
    }

    /// Whether this kind is among them.
    pub fn holds(self, kind: Fault) -> bool {
        self.0 & kind.bit() != 0
    }

    /// These and this kind.
    #[must_use]
    pub fn with(self, kind: Fault) -> Self {
        Self(self.0 | kind.bit())
    }

    /// These without this kind.
    #[must_use]
    pub const fn without(self, kind: Fault) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// How many.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds.
    pub fn kinds(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |kind| self.holds(*kind))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}

/// How often each kind happened.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Fault::ALL.len()]);

impl Tally {
    /// One more.
    pub fn count(&self, kind: Fault) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each kind happened so far.
    pub fn counts(&self) -> Vec<(Fault, u64)> {
        Fault::ALL.into_iter().map(|kind| (kind, self.0[kind as usize].load(Ordering::Relaxed))).collect()
    }
}

/// Which pairs of kinds happened in one run.
#[derive(Debug, Default)]
pub struct Pairs([AtomicU64; Fault::ALL.len()]);

impl Pairs {
    /// These happened in one run.
    pub fn note(&self, kinds: Faults) {
        for kind in kinds.kinds() {
            self.0[kind as usize].fetch_or(u64::from(kinds.0), Ordering::Relaxed);
        }
    }

    /// The pairs that happened in one run so far.
    pub fn met(&self) -> Vec<(Fault, Fault)> {
        let met = |(a, b): &(Fault, Fault)| self.0[*a as usize].load(Ordering::Relaxed) & u64::from(b.bit()) != 0;
        Fault::pairs().filter(met).collect()
    }
}
