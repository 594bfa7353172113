//! Leases and attempts in the database. Whoever changes an attempt holds its lease's row.

mod accounts;
mod attempt;
mod candidate;
mod lease;
mod listing;
mod queue;
mod row;
mod sent;
mod terms;

pub use accounts::{OpenLeases, PastLeases, last_home, open_of_accounts, open_work, past_of_accounts};
pub use attempt::{Marked, Marking, Receipt, claim, give_back, insert_attempts, mark_sent, set_holder_checked, update_attempts};
pub use candidate::{Candidate, candidates};
pub use lease::{due_reads, expect_read, insert, keep_release, mark_reset, postpone_reads, update, wake};
pub use listing::{AttemptView, Exposure, Page, all_kept, attempts_of, ended_since, exposure, kept, known, list, open_ids};
pub use queue::{
    due_ticks, held_back, hold, live_attempts, locked, most_urgent, next_read, next_ready, next_tick, reads_due, uncontained,
};
pub use row::{Kept, OpenRow, PastRow};
pub use sent::{Sent, all_sent, last_sent};

#[cfg(test)]
mod tests;
