//! The exposure cap: how many accounts of an organisation may be out at once, and the line of those who wait.

pub mod store;

/// The counter of one organisation, as it is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Slots that recoveries hold.
    pub held: i64,
    /// Accounts out without a case of ours.
    pub outside: i64,
    /// How many may be out at once.
    pub cap: i64,
}

impl Counter {
    /// Slots that can be taken now.
    pub fn free(self) -> i64 {
        (self.cap - self.held - self.outside).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_without_a_case_counts() {
        assert_eq!(Counter { held: 3, outside: 2, cap: 8 }.free(), 3);
        assert_eq!(Counter { held: 8, outside: 2, cap: 8 }.free(), 0, "never less than none");
    }
}
