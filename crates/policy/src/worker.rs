//! The loops that do policy's work: send, read, keep time. Each looks for work by itself, is woken when there is some, takes
//! it in batches, and may be killed at any line.

mod answers;
mod contain;
mod count;
mod gather;
mod holders;
mod judge;
mod keeper;
mod reader;
mod sender;
mod waiting;
mod way;

use std::error::Error;
use std::time::Duration;

use homeward_store::StoreError;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use answers::of_move;
pub use contain::contain_overdue;
pub use count::count_accounts;
pub use keeper::keep_time;
pub use reader::{next_look, read_accounts};
pub use sender::{send_lends, send_returns};
pub use waiting::try_waiting_lends;
pub use way::{Way, way};

/// Leases in one batch.
pub const BATCH: i64 = 100;

/// The same, as a number of things in memory.
const FULL: usize = 100;

/// Batches of one kind and organisation under way at once.
pub const FLIGHTS: usize = 4;

/// How long batches under way may take once the shutdown has begun. What is cut off then counts as after a crash.
const LANDING: Duration = Duration::from_secs(5);

/// How long a loop rests after the database failed it.
const REST: Duration = Duration::from_millis(500);

/// Forgets batches that are done. One that panicked is told: its claims run out, and its attempts count as unknown.
fn land(flights: &mut JoinSet<()>) {
    while let Some(done) = flights.try_join_next() {
        landed(done);
    }
}

fn landed(done: Result<(), JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a batch was dropped in the middle");
    }
}

/// Logs what went wrong and rests. False if the shutdown came meanwhile.
async fn rest(doing: &'static str, error: &StoreError, shutdown: &CancellationToken) -> bool {
    tracing::warn!(doing, error = error as &dyn Error, "trying again soon");
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(REST) => true,
    }
}
