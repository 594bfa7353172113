//! A list that grows, and is read without a lock: what the actors need to know of a row is asked for many times in each state,
//! and two threads that take turns at a lock would wait for one another more than they check.

use std::sync::OnceLock;

/// Values on one board.
const BOARD: usize = 4_096;
/// Boards, put up one after the other.
const BOARDS: usize = 4_096;

/// The values, by number. One thread at a time adds; each value stays as it is.
pub struct Shelf<T>(Box<[OnceLock<Box<[OnceLock<T>]>>]>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(empty(BOARDS))
    }
}

impl<T: Copy> Shelf<T> {
    /// The value at `at`.
    ///
    /// # Panics
    /// If there is none yet.
    pub fn get(&self, at: usize) -> T {
        let board = self.0[at / BOARD].get();
        *board.and_then(|board| board[at % BOARD].get()).expect("a number is known only after its value was put here")
    }

    /// Puts a value at `at`; the first one stays.
    ///
    /// # Panics
    /// If there is no room.
    pub fn put(&self, at: usize, value: T) {
        let board = self.0[at / BOARD].get_or_init(|| empty(BOARD));
        board[at % BOARD].get_or_init(|| value);
    }
}

fn empty<T>(many: usize) -> Box<[OnceLock<T>]> {
    (0..many).map(|_| OnceLock::new()).collect()
}
