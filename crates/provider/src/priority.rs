//! Who goes first when the provider's rate limit is short.

/// The order in which calls share the provider's rate limit; the greater goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Reading the whole directory through: can always wait.
    Sync,
    /// Opening leases.
    Lend,
    /// Reading placements and factors of accounts that are out.
    Evidence,
    /// Bringing accounts home, and containment: never waits for anything below it.
    Return,
}

impl Priority {
    /// All of them, the one that waits longest first.
    pub const ALL: [Self; 4] = [Self::Sync, Self::Lend, Self::Evidence, Self::Return];
}
