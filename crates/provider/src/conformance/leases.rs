//! Checks of what leases are decided by: reads that come late, moves that never happen, versions that do not grow, parts of a
//! batch.

use std::collections::HashSet;
use std::time::Duration;

use homeward_types::{AccountId, Email, Placement, PolicyId};
use tokio::time::Instant;

use super::moving::{finished, tasks};
use super::{Calls, Profile, Trouble, World, eventually, lend, place, settled, told};
use crate::error::ProviderError;
use crate::priority::Priority;

/// How long a state that a late read will show lasts at least.
const LASTS: Duration = Duration::from_millis(600);

/// A read that shows how it was somewhere in the state that was seen at `then`, and was over `LASTS` later at the earliest.
async fn late_read(world: &impl World, account: &AccountId, then: Instant, shows: &PolicyId) -> Placement {
    eventually("a read as late as it was asked to be", async || {
        world.calm();
        world.trouble(Trouble::Stale(then.elapsed().saturating_sub(LASTS / 4)), Calls::Placements, None);
        place(world, account).await.filter(|placement| placement.policy.as_ref() == Some(shows))
    })
    .await
}

/// During a second lease, a read that comes late shows the first one's *out*. It began later than everything that is known;
/// only its version tells.
pub async fn a_late_read_of_an_earlier_lease_shows_by_its_version<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(1);
    lend(&world, &who, &world.recovery()).await;
    let first_out = settled(&world, &who, &world.recovery()).await.remove(0);
    let then = Instant::now();
    eventually("the end of the first lease", async || (then.elapsed() >= LASTS).then_some(())).await;
    lend(&world, &who, &world.home()).await;
    let home = settled(&world, &who, &world.home()).await.remove(0);
    let late = late_read(&world, &who[0].0, then, &world.recovery()).await;
    assert!(late.begun_at >= home.begun_at, "a read is dated by when it began, whatever it shows");
    if world.provider().capabilities().placement_versions {
        assert_eq!(late.version, first_out.version, "it shows the first lease's move");
        assert!(late.version < home.version, "which is older than the return");
    }
    world.calm();
    assert_eq!(place(&world, &who[0].0).await.and_then(|placement| placement.policy), Some(world.home()));
}

/// The return is accepted, said to be done, and never happens; a read that began afterwards shows how it was before the lend.
/// Home, and begun last: only its version tells that the account is out.
pub async fn a_return_that_never_happened_is_not_proved_by_a_read_from_before_the_lend<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(1);
    let before = place(&world, &who[0].0).await.expect("it is placed");
    let then = Instant::now();
    eventually("the lend", async || (then.elapsed() >= LASTS).then_some(())).await;
    lend(&world, &who, &world.recovery()).await;
    let out = settled(&world, &who, &world.recovery()).await.remove(0);
    world.trouble(Trouble::NeverApplied, Calls::Moves, Some(1));
    let answers = lend(&world, &who, &world.home()).await;
    assert!(told(&answers, &who).values().all(Result::is_ok), "it is accepted");
    let late = late_read(&world, &who[0].0, then, &world.home()).await;
    assert!(late.begun_at >= out.begun_at);
    if world.provider().capabilities().placement_versions {
        assert_eq!(late.version, before.version, "it shows the time before the lend");
        assert!(late.version < out.version, "which is no proof of a return");
    }
    world.calm();
    assert_eq!(place(&world, &who[0].0).await.and_then(|placement| placement.policy), Some(world.recovery()));
    assert_eq!(world.truth(&who[0].0).and_then(|truth| truth.policy), Some(world.recovery()));
}

/// Where a provider brings the old version back, the adapter says so: the caller must not wait for a greater one.
pub async fn a_re_add_that_keeps_the_version_is_passed_on_as_it_is<W: World>() {
    let world = W::open(Profile { version_kept: true, ..Profile::default() }).await;
    let who = world.members(3);
    let before = versions(&settled(&world, &who, &world.home()).await);
    lend(&world, &who, &world.recovery()).await;
    let out = versions(&settled(&world, &who, &world.recovery()).await);
    lend(&world, &who, &world.home()).await;
    let after = versions(&settled(&world, &who, &world.home()).await);
    if world.provider().capabilities().placement_versions {
        assert_ne!(before, out);
        assert_eq!(before, after, "the provider gave the old versions again");
    }
}

fn versions(read: &[Placement]) -> HashSet<(AccountId, Option<homeward_types::PlacementVersion>)> {
    read.iter().map(|placement| (placement.account.clone(), placement.version)).collect()
}

/// A part of a batch fails: those are named, in the answer or in the task, and nobody else is.
pub async fn a_batch_that_fails_in_part_says_for_whom<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(11);
    world.trouble(Trouble::FailsInPart, Calls::Moves, Some(1));
    let answers = lend(&world, &who, &world.recovery()).await;
    world.calm();
    let answer = |error: &ProviderError| assert!(error.proves_not_taken(), "{error}");
    let mut named: HashSet<Email> = HashSet::new();
    for (account, told) in told(&answers, &who) {
        if let Err(error) = &told {
            answer(error);
            named.extend(who.iter().find(|(known, _)| *known == account).map(|(_, email)| email.clone()));
        }
    }
    let accepted: Vec<_> = answers.into_iter().filter(|answer| answer.answer.is_ok()).collect();
    for task in tasks(&accepted) {
        named.extend(finished(&world, &task).await.failures.into_iter().map(|failure| failure.email));
    }
    let stayed = |account: &AccountId| world.truth(account).and_then(|truth| truth.policy) == Some(world.home());
    let left_behind: HashSet<Email> = who.iter().filter(|(account, _)| stayed(account)).map(|(_, email)| email.clone()).collect();
    assert!(!left_behind.is_empty() && left_behind.len() < who.len(), "the simulator did not fail in part");
    assert_eq!(named, left_behind);
}

/// The provider's clock is two days off, either way. Our own moments, waits for its limits, and what may be sent do not care.
pub async fn a_clock_that_is_not_ours_misleads_nobody<W: World>() {
    const TWO_DAYS: i64 = 2 * 24 * 60 * 60;
    for clock_ahead_seconds in [-TWO_DAYS, TWO_DAYS] {
        let world = W::open(Profile { clock_ahead_seconds, rate: Some(20), ..Profile::default() }).await;
        let (who, provider) = (world.members(2), world.provider());
        let ids: Vec<AccountId> = who.iter().map(|(account, _)| account.clone()).collect();
        let mut through = 0u32;
        eventually("forty reads at twenty a second", async || {
            let before = world.clock().now();
            match provider.read_placements(&ids, Priority::Return).await {
                Ok(read) => {
                    through += 1;
                    let ours = |placement: &Placement| (before..=world.clock().now()).contains(&placement.begun_at);
                    assert!(read.iter().all(ours), "a read is dated by our clock");
                }
                Err(error) => {
                    let wait = error.retry_after().unwrap_or_else(|| panic!("{error}"));
                    assert!(wait <= Duration::from_secs(5), "waits {wait:?} for a window of a second");
                    tokio::time::sleep(wait).await;
                }
            }
            (through >= 40).then_some(())
        })
        .await;
        let answers = eventually("a move within the limit", async || {
            let answers = lend(&world, &who, &world.recovery()).await;
            told(&answers, &who).values().all(Result::is_ok).then_some(answers)
        })
        .await;
        drop(answers);
        settled(&world, &who, &world.recovery()).await;
    }
}
