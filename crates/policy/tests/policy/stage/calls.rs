//! The calls that the provider served, and the fewest that could have done the same.

use std::collections::BTreeMap;
use std::fmt;

use homeward_simulator::Truth;

/// Calls by path, whatever they answered.
pub type Served = BTreeMap<String, u64>;

/// What was served until now.
pub fn served(truth: &Truth) -> Served {
    let mut served = Served::new();
    for call in truth.calls() {
        *served.entry(call.call).or_default() += call.count;
    }
    served
}

/// What was served since `before`.
pub fn since(truth: &Truth, before: &Served) -> Served {
    let mut now = served(truth);
    for (call, count) in before {
        now.entry(call.clone()).and_modify(|total| *total -= count);
    }
    now.retain(|_, count| *count > 0);
    now
}

/// The fewest calls by which so many accounts can be lent and returned, each step in full batches and nothing twice.
///
/// A lend needs a placement and a search before the lease opens, the address immediately before the move, the move, and a
/// read that proves it. A return needs the address, the move, and the proof. Versions are trusted, so one read proves.
#[derive(Debug, Clone, Copy)]
pub struct Fewest {
    pub accounts: u64,
    /// Accounts in a placement read.
    pub read: u64,
    /// Addresses in a search.
    pub search: u64,
    /// Accounts in a move: what the provider takes, or what is configured, whichever is less.
    pub moves: u64,
}

impl Fewest {
    pub fn total(self) -> u64 {
        let Self { accounts, read, search, moves } = self;
        accounts.div_ceil(search) + 5 * accounts.div_ceil(read) + 2 * accounts.div_ceil(moves)
    }
}

impl fmt::Display for Fewest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accounts: n, read, search, moves } = self;
        write!(f, "search ceil({n}/{search}) + placements 5 x ceil({n}/{read}) + moves 2 x ceil({n}/{moves}) = {}", self.total())
    }
}
