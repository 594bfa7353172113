//! The suite that any adapter passes against its simulator, with the simulator's faults on.
//!
//! An adapter implements [`World`] for its simulated organisation and writes `homeward_provider::conformance!(MyWorld);` in
//! a test file. What a provider does not have is said by [`crate::Capabilities`], and the checks follow it. Each check runs
//! in quiet, and those that do not count calls or set troubles of their own run once more in chaos ([`InChaos`]).

#![expect(clippy::missing_panics_doc, reason = "a check panics when an adapter fails it")]

mod abilities;
mod care;
mod chaos;
mod finding;
mod leases;
mod moving;
mod patience;
mod patient;
mod size;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use homeward_types::{AccountId, Clock, Email, Factor, PolicyId};

use crate::port::IdentityProvider;

pub use abilities::*;
pub use care::*;
pub use chaos::*;
pub use finding::*;
pub use leases::*;
pub use moving::*;
pub use patient::InChaos;
pub use size::*;
pub use trouble::*;

pub(crate) use patience::{eventually, lend, place, presence, settled, told};

/// How the simulated organisation is, where the provider's documentation leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent habit of the simulated provider")]
pub struct Profile {
    /// Managed accounts, all in the home policy.
    pub accounts: usize,
    /// How far reads are behind.
    pub lag: Duration,
    /// How long an accepted move takes.
    pub delay: Duration,
    /// The largest move that is taken; nobody told the adapter.
    pub batch_limit: Option<usize>,
    /// Adding a member again is a failure rather than a success.
    pub already_member_fails: bool,
    /// One bad address spoils the whole move rather than failing alone.
    pub bad_address_spoils: bool,
    /// One unknown id spoils a placement read rather than being left out.
    pub unknown_id_spoils: bool,
    /// A disabled account can be moved.
    pub disabled_moves: bool,
    /// Adding an account again does not change the version of its placement.
    pub version_kept: bool,
    /// Calls that a path takes in each second.
    pub rate: Option<u32>,
    /// How far the provider's clock is ahead of ours; less than nothing for behind.
    pub clock_ahead_seconds: i64,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            accounts: 120,
            lag: Duration::ZERO,
            delay: Duration::ZERO,
            batch_limit: None,
            already_member_fails: false,
            bad_address_spoils: false,
            unknown_id_spoils: false,
            disabled_moves: true,
            version_kept: false,
            rate: None,
            clock_ahead_seconds: 0,
        }
    }
}

/// An account as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Where it is.
    pub policy: Option<PolicyId>,
    /// The address it holds.
    pub email: Email,
    /// Its factor.
    pub factor: Factor,
    /// Whether it can sign in as far as containment goes.
    pub enabled: bool,
}

/// What others do to an account meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another address.
    Email(Email),
    /// Changes addresses with this account.
    SwapWith(AccountId),
    /// Sets up a factor, or loses it.
    Factor(bool),
    /// Makes a token with this label.
    Token(String),
    /// The organisation loses it.
    Unclaim,
    /// It is deleted: no call finds it.
    Delete,
    /// Moved by hand.
    Move(PolicyId),
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Cut, and nothing was done.
    CutBefore,
    /// Everything was done, and the answer was cut.
    CutAfter,
    /// Everything was done, and no answer comes.
    Silence,
    /// Refused for its rate.
    TooMany,
    /// The provider fails; nothing was done.
    Failing,
    /// A page of a gateway with status 200; nothing was done.
    Gateway,
    /// The answer breaks off in the middle; everything was done.
    Truncated,
    /// An error in a shape that nobody documents; nothing was done.
    WrongShape,
    /// An error without a body; nothing was done.
    EmptyError,
    /// A move is accepted, said to be done, and never happens.
    NeverApplied,
    /// A move is accepted, said to be done, and happens so much later.
    AppliedLate(Duration),
    /// A move is accepted and fails for some of its accounts, but not for all.
    FailsInPart,
    /// A read shows how it was so long ago.
    Stale(Duration),
    /// The key is refused.
    Revoked,
}

/// Which calls a [`Trouble`] meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Moves.
    Moves,
    /// Placement reads.
    Placements,
    /// Factor reads and searches.
    Searches,
    /// All.
    All,
}

/// A simulated organisation with an adapter that is connected to it, and the means to know and to disturb it.
#[async_trait]
pub trait World: Send + Sync + Sized {
    /// A fresh one.
    async fn open(profile: Profile) -> Self;
    /// The adapter. Its timeout is at most five seconds.
    fn provider(&self) -> Arc<dyn IdentityProvider>;
    /// The clock of adapter and simulator.
    fn clock(&self) -> Arc<dyn Clock>;
    /// The mandatory policy that all members are in.
    fn home(&self) -> PolicyId;
    /// The optional policy.
    fn recovery(&self) -> PolicyId;
    /// So many ordinary managed accounts.
    fn members(&self, count: usize) -> Vec<(AccountId, Email)>;
    /// An account that the organisation does not manage.
    fn unmanaged(&self) -> (AccountId, Email);
    /// The account as it is; `None` if it does not exist.
    fn truth(&self, account: &AccountId) -> Option<Truth>;
    /// Changes an account behind our back.
    fn change(&self, account: &AccountId, change: Change);
    /// Makes calls go wrong; so many times, or until [`World::calm`].
    fn trouble(&self, what: Trouble, calls: Calls, times: Option<u64>);
    /// Everything goes wrong by chance; effects and reads are late by at most `late`.
    fn chaos(&self, probability: f64, late: Duration);
    /// Nothing goes wrong any more.
    fn calm(&self);
    /// Calls that arrived so far.
    fn calls(&self) -> u64;
    /// Calls that arrived for something that the provider does not have.
    fn undocumented_calls(&self) -> u64;
    /// Whether answers tell the rate limit.
    fn tells_limits(&self) -> bool {
        true
    }
    /// Whether things go wrong by chance from the start, so that a move may have to be made again. Only [`InChaos`] says so.
    fn is_chaotic(&self) -> bool {
        false
    }
}

/// Makes one test of each check, against the [`World`] that is named, in quiet and in chaos. `conformance!(@names)` are the
/// names of all checks.
#[macro_export]
macro_rules! conformance {
    ($world:ty) => {
        $crate::conformance!(@all each $world);
        /// Again, with the chaos profile on.
        mod in_chaos {
            use super::*;
            $crate::conformance!(@each $crate::conformance::InChaos<$world>:
                accounts_are_found_by_address_by_id_and_by_name
                an_account_that_nobody_knows_is_missing_everywhere
                an_account_that_is_not_ours_says_so
                one_unknown_id_spoils_nobody_elses_read
                every_account_is_paged_while_others_come_and_go
                a_flapping_factor_is_seen_as_it_is
                an_address_that_changed_hands_does_not_mislead_a_factor_read
                a_smaller_limit_than_we_know_blocks_nobody
                a_version_never_goes_back
                a_re_add_that_keeps_the_version_is_passed_on_as_it_is
                nothing_is_sent_when_its_time_is_over
                a_cancelled_move_leaves_the_adapter_whole
                containment_is_reversible
                a_disabled_account_moves_or_does_not
                tokens_of_the_window_are_listed_and_deleted
                events_are_read_on_from_where_we_stopped
                an_account_that_went_is_missed_by_two_different_calls
            );
        }
    };
    (@names) => {
        $crate::conformance!(@all names)
    };
    (@all $($then:tt)*) => {
        $crate::conformance!(@$($then)*:
            accounts_are_found_by_address_by_id_and_by_name
            an_account_that_nobody_knows_is_missing_everywhere
            an_account_that_is_not_ours_says_so
            one_unknown_id_spoils_nobody_elses_read
            every_account_is_paged_while_others_come_and_go
            a_million_accounts_are_paged_in_bounded_memory
            placements_and_factors_are_read_in_bulk
            a_flapping_factor_is_seen_as_it_is
            an_address_that_changed_hands_does_not_mislead_a_factor_read
            a_move_is_accepted_then_done_then_seen
            moving_a_member_again_changes_nothing
            one_bad_address_blocks_nobody
            a_batch_that_fails_in_part_says_for_whom
            a_smaller_limit_than_we_know_blocks_nobody
            addresses_swapped_during_a_move_show_in_the_next_read
            a_version_never_goes_back
            a_re_add_that_keeps_the_version_is_passed_on_as_it_is
            a_read_before_its_time_may_be_old_but_says_when_it_began
            nothing_is_sent_when_its_time_is_over
            a_cancelled_move_leaves_the_adapter_whole
            what_is_proved_not_taken_never_happens
            a_move_that_never_happens_is_not_believed
            a_return_that_never_happened_is_not_proved_by_a_read_from_before_the_lend
            a_late_move_of_an_earlier_lease_shows_when_it_happens
            a_late_read_of_an_earlier_lease_shows_by_its_version
            a_stale_read_says_when_it_began
            a_rate_limit_is_met_with_waiting
            a_clock_that_is_not_ours_misleads_nobody
            a_revoked_key_is_a_matter_for_an_administrator
            containment_is_reversible
            a_disabled_account_moves_or_does_not
            tokens_of_the_window_are_listed_and_deleted
            events_are_read_on_from_where_we_stopped
            an_account_that_went_is_missed_by_two_different_calls
            many_that_are_missing_are_looked_for_in_bulk
            a_limit_that_answers_tell_is_told_on
            reads_that_are_behind_are_not_called_up_to_date
            in_chaos_everybody_comes_home
        );
    };
    (@names: $($check:ident)*) => {
        [$(stringify!($check)),*]
    };
    (@each $world:ty: $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::conformance::$check::<$world>().await;
            }
        )*
    };
}
