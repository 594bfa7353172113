//! One scene for each row of the table, by the row's name.

mod late;
mod lost;
mod meanwhile;
mod restored;
mod seen;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::paused;
use crate::table::Row;

/// A scene: plays a fault and says what became of it.
pub struct Scene {
    /// The row's first cell.
    pub name: &'static str,
    play: fn() -> LocalBoxFuture<'static, Row>,
}

impl Scene {
    pub async fn play(&self) -> Row {
        Row { fault: self.name.to_owned(), ..(self.play)().await }
    }
}

macro_rules! scenes {
    ($($name:literal => $play:path),+ $(,)?) => {
        /// Every scene there is.
        pub fn all() -> Vec<Scene> {
            vec![$(Scene { name: $name, play: || $play().boxed_local() }),+]
        }
    };
}

scenes! {
    "the lend times out and was applied" => late::timed_out_but_applied,
    "the lend is accepted and never applied" => lost::never_applied,
    "the lend is applied minutes after it was accepted" => late::applied_late,
    "half a batch is refused" => lost::half_a_batch,
    "a stale read shows the home of before the lend" => seen::stale_home,
    "two tasks finish in the wrong order: the return, then the lend" => late::wrong_order,
    "the lend is applied later than `late_limit` allows" => late::beyond_the_limit,
    "a paused worker sends its lend after the return" => paused::sends_after_the_return,
    "a worker that was paused past its claim goes on" => paused::goes_on_too_late,
    "the task of a return never resolves" => lost::unresolved_task,
    "a late read of an earlier lease looks like this one's" => seen::read_of_an_earlier_lease,
    "the lend of an earlier lease lands in this one's window" => late::lend_of_an_earlier_lease,
    "the return of an earlier lease lands in this one's window" => late::return_of_an_earlier_lease,
    "the return arrives before its lend" => lost::return_before_lend,
    "an expired lend is redriven" => lost::expired_lend,
    "a re-add brings the old version back" => seen::old_version,
    "a factor flaps" => seen::flapping_factor,
    "addresses are swapped between the read and the move" => meanwhile::swapped_addresses,
    "the home policy is deleted meanwhile" => meanwhile::home_deleted,
    "the account is renamed meanwhile" => meanwhile::renamed,
    "the account is suspended meanwhile" => meanwhile::suspended,
    "the account is deleted meanwhile" => meanwhile::deleted,
    "the account is unclaimed meanwhile" => meanwhile::unclaimed,
    "the account is moved by hand to a third policy that protects" => meanwhile::protected_elsewhere,
    "the account is moved by hand to a third policy that does not protect" => meanwhile::moved_on,
    "recovery's database is restored from an hour ago" => restored::recovery,
    "policy's database is restored from an hour ago" => restored::policy,
}
