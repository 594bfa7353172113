//! The suite can fail: for each check there is an adapter with one mistake, and the check finds it.

mod mistakes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use homeward_provider::IdentityProvider;
use homeward_provider::conformance::{self as checks, Calls, Change, Profile, Trouble, Truth, World};
use homeward_types::{AccountId, Clock, Email, PolicyId};
use tokio::task::{LocalSet, spawn_local};

use crate::simulated::SimulatedOrganisation;
use mistakes::{Mistake, Saboteur};

tokio::task_local! {
    static MISTAKE: Mistake;
}

/// The simulated organisation with an adapter that makes a mistake.
struct Sabotaged {
    world: SimulatedOrganisation,
    provider: Arc<Saboteur>,
}

#[async_trait]
impl World for Sabotaged {
    async fn open(profile: Profile) -> Self {
        let world = SimulatedOrganisation::open(profile).await;
        let provider = Arc::new(Saboteur::new(world.provider(), MISTAKE.get()));
        Self { world, provider }
    }

    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::clone(&self.provider) as Arc<dyn IdentityProvider>
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.world.clock()
    }

    fn home(&self) -> PolicyId {
        self.world.home()
    }

    fn recovery(&self) -> PolicyId {
        self.world.recovery()
    }

    fn members(&self, count: usize) -> Vec<(AccountId, Email)> {
        self.world.members(count)
    }

    fn unmanaged(&self) -> (AccountId, Email) {
        self.world.unmanaged()
    }

    fn truth(&self, account: &AccountId) -> Option<Truth> {
        self.world.truth(account)
    }

    fn change(&self, account: &AccountId, change: Change) {
        self.world.change(account, change);
    }

    fn trouble(&self, what: Trouble, calls: Calls, times: Option<u64>) {
        self.world.trouble(what, calls, times);
    }

    fn chaos(&self, probability: f64, late: Duration) {
        self.world.chaos(probability, late);
    }

    fn calm(&self) {
        self.world.calm();
    }

    fn calls(&self) -> u64 {
        self.world.calls()
    }

    fn undocumented_calls(&self) -> u64 {
        self.world.undocumented_calls()
    }
}

type Attempt = (&'static str, Mistake, LocalBoxFuture<'static, ()>);

macro_rules! sabotage {
    ($($check:ident $mistake:ident)*) => {
        vec![$((stringify!($check), Mistake::$mistake, Box::pin(checks::$check::<Sabotaged>()) as LocalBoxFuture<'static, ()>)),*]
    };
}

/// Each check with a mistake that it is there to find. The check of a million accounts has a test of its own below.
fn attempts() -> Vec<Attempt> {
    sabotage! {
        accounts_are_found_by_address_by_id_and_by_name LosesOne
        an_account_that_nobody_knows_is_missing_everywhere CallsEveryoneManaged
        an_account_that_is_not_ours_says_so CallsEveryoneManaged
        one_unknown_id_spoils_nobody_elses_read FailsOnTheMissing
        every_account_is_paged_while_others_come_and_go LosesOne
        placements_and_factors_are_read_in_bulk ReadsOneByOne
        a_flapping_factor_is_seen_as_it_is RemembersFactors
        an_address_that_changed_hands_does_not_mislead_a_factor_read GoesByAddress
        a_move_is_accepted_then_done_then_seen LosesAddresses
        moving_a_member_again_changes_nothing SilencesTasks
        one_bad_address_blocks_nobody SilencesTasks
        a_batch_that_fails_in_part_says_for_whom SilencesTasks
        a_smaller_limit_than_we_know_blocks_nobody RefusesMany
        addresses_swapped_during_a_move_show_in_the_next_read LosesAddresses
        a_version_never_goes_back TurnsVersions
        a_re_add_that_keeps_the_version_is_passed_on_as_it_is CountsVersions
        a_read_before_its_time_may_be_old_but_says_when_it_began DatesByTheAnswer
        nothing_is_sent_when_its_time_is_over SendsLate
        a_cancelled_move_leaves_the_adapter_whole BreaksWhenCancelled
        what_is_proved_not_taken_never_happens CallsAllNotTaken
        a_move_that_never_happens_is_not_believed BelievesTasks
        a_return_that_never_happened_is_not_proved_by_a_read_from_before_the_lend CountsVersions
        a_late_move_of_an_earlier_lease_shows_when_it_happens TurnsVersions
        a_late_read_of_an_earlier_lease_shows_by_its_version CountsVersions
        a_stale_read_says_when_it_began CountsVersions
        a_rate_limit_is_met_with_waiting GivesBack
        a_clock_that_is_not_ours_misleads_nobody DatesByTheAnswer
        a_revoked_key_is_a_matter_for_an_administrator RetriesForEver
        containment_is_reversible ContainsNobody
        a_disabled_account_moves_or_does_not ContainsNobody
        tokens_of_the_window_are_listed_and_deleted LeavesTokens
        events_are_read_on_from_where_we_stopped ForgetsTheCursor
        an_account_that_went_is_missed_by_two_different_calls CallsEveryoneManaged
        many_that_are_missing_are_looked_for_in_bulk ReadsOneByOne
        a_limit_that_answers_tell_is_told_on KeepsLimitsToItself
        reads_that_are_behind_are_not_called_up_to_date CallsReadsUpToDate
        in_chaos_everybody_comes_home Pretends
    }
}

const MILLION: &str = "a_million_accounts_are_paged_in_bounded_memory";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_finds_a_mistake_that_it_is_there_to_find() {
    let attempts = attempts();
    let tried: BTreeSet<&str> = attempts.iter().map(|(check, ..)| *check).chain([MILLION]).collect();
    assert_eq!(tried, BTreeSet::from(homeward_provider::conformance!(@names)), "a check without a mistake");
    // All at once: those that wait for what never comes wait together.
    let blind = LocalSet::new()
        .run_until(async {
            let running: Vec<_> = attempts
                .into_iter()
                .map(|(check, mistake, attempt)| (check, mistake, spawn_local(MISTAKE.scope(mistake, attempt))))
                .collect();
            let mut blind = Vec::new();
            for (check, mistake, attempt) in running {
                match attempt.await {
                    Err(error) if error.is_panic() => {}
                    Ok(()) | Err(_) => blind.push((check, mistake)),
                }
            }
            blind
        })
        .await;
    assert!(blind.is_empty(), "these did not see the mistake: {blind:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_keeps_every_page_is_found_out() {
    let attempt = checks::accounts_are_paged_in_bounded_memory::<Sabotaged>(200_000);
    let attempt = LocalSet::new().run_until(async { spawn_local(MISTAKE.scope(Mistake::KeepsPages, attempt)).await }).await;
    assert!(attempt.is_err_and(|error| error.is_panic()));
}
