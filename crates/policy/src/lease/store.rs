//! Leases and attempts in the database. Whoever changes an attempt holds its lease's row.

mod attempt;
mod lease;
mod listing;
mod queue;
mod row;

pub use attempt::{Marked, Marking, Receipt, claim, give_back, insert_attempts, mark_sent, set_holder_checked, update_attempts};
pub use lease::{due_reads, expect_read, insert, keep_release, mark_reset, postpone_reads, update, wake};
pub use listing::{
    AttemptView, Exposure, OpenLeases, Page, all_kept, attempts_of, ended_since, exposure, kept, known, last_home, list,
    open_ids, open_of_accounts, open_work, released_of,
};
pub use queue::{
    Candidate, Sent, candidates, due_ticks, held_back, hold, last_sent, live_attempts, locked, most_urgent, next_read,
    next_ready, next_tick, uncontained,
};
pub use row::{Kept, OpenRow};

#[cfg(test)]
mod tests;
