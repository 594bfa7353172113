//! Checks of what the adapter makes of a provider in trouble.

use std::time::Duration;

use homeward_types::AccountId;

use super::{Calls, Profile, Trouble, World, eventually, lend, place, presence, settled, told};
use crate::account::{Holder, Search};
use crate::care::Look;
use crate::error::{ErrorClass, ProviderError};
use crate::priority::Priority;

const LATE: Duration = Duration::from_millis(1_500);

/// One send under each trouble: what is called "not taken" is not taken, and what was taken is not called so.
pub async fn what_is_proved_not_taken_never_happens<W: World>() {
    let world = W::open(Profile::default()).await;
    let troubles = [
        (Trouble::CutBefore, false),
        (Trouble::CutAfter, true),
        (Trouble::Silence, true),
        (Trouble::TooMany, false),
        (Trouble::Failing, false),
        (Trouble::Gateway, false),
        (Trouble::Truncated, true),
        (Trouble::WrongShape, false),
        (Trouble::EmptyError, false),
        (Trouble::Revoked, false),
    ];
    let members = world.members(troubles.len());
    for ((trouble, happens), who) in troubles.into_iter().zip(members) {
        // A refusal for rates makes the adapter hold back for a while; the next trouble waits for its turn.
        let error = eventually("a call that really went out", async || {
            world.trouble(trouble, Calls::Moves, Some(1));
            let answers = lend(&world, std::slice::from_ref(&who), &world.recovery()).await;
            world.calm();
            let error = told(&answers, std::slice::from_ref(&who)).remove(&who.0).expect("told").err();
            let held_back = error.as_ref().is_some_and(|error| error.status.is_none() && error.is_for_the_rate());
            (!held_back).then_some(error)
        })
        .await;
        let error = error.unwrap_or_else(|| panic!("{trouble:?} was called a success"));
        let taken = world.truth(&who.0).and_then(|truth| truth.policy) != Some(world.home());
        assert_eq!(taken, happens, "the simulator did not do what {trouble:?} says");
        assert!(!(taken && error.proves_not_taken()), "{trouble:?}: {error} was called not taken, but happened");
        if matches!(trouble, Trouble::TooMany | Trouble::Revoked) {
            assert!(error.proves_not_taken(), "{trouble:?}: {error}");
        }
        if taken {
            assert_eq!(error.class, ErrorClass::Ambiguous, "{trouble:?}: {error}");
        }
    }
}

/// The task may say what it likes.
pub async fn a_move_that_never_happens_is_not_believed<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(3);
    world.trouble(Trouble::NeverApplied, Calls::Moves, Some(1));
    let answers = lend(&world, &who, &world.recovery()).await;
    assert!(told(&answers, &who).values().all(Result::is_ok));
    for (account, _) in &who {
        let placement = place(&world, account).await.expect("it is placed");
        assert_eq!(placement.policy, Some(world.home()));
    }
}

/// A lend of an earlier lease that happens after the return shows as what it is: out, with a later version.
pub async fn a_late_move_of_an_earlier_lease_shows_when_it_happens<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(1);
    world.trouble(Trouble::AppliedLate(LATE), Calls::Moves, Some(1));
    lend(&world, &who, &world.recovery()).await;
    lend(&world, &who, &world.home()).await;
    let home = place(&world, &who[0].0).await.expect("it is placed");
    assert_eq!(home.policy, Some(world.home()), "the late lend has not happened yet");
    let out = settled(&world, &who, &world.recovery()).await.remove(0);
    assert!(out.begun_at > home.begun_at);
    if world.provider().capabilities().placement_versions {
        assert!(out.version > home.version);
    }
}

/// A stale answer is dated by when its read began, like any other: what it shows is for the caller to weigh.
pub async fn a_stale_read_says_when_it_began<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(1);
    lend(&world, &who, &world.recovery()).await;
    let seen = settled(&world, &who, &world.recovery()).await.remove(0);
    world.trouble(Trouble::Stale(Duration::from_mins(1)), Calls::Placements, None);
    let stale = place(&world, &who[0].0).await;
    if let Some(stale) = stale {
        assert_eq!(stale.policy, Some(world.home()), "the simulator did not go back");
        assert!(stale.begun_at >= seen.begun_at);
        if world.provider().capabilities().placement_versions {
            assert!(stale.version < seen.version, "a version tells that the answer is older than what we know");
        }
    }
    world.calm();
    assert_eq!(place(&world, &who[0].0).await.and_then(|placement| placement.policy), Some(world.recovery()));
}

/// Within a limit everything gets through, and hardly a call is refused.
pub async fn a_rate_limit_is_met_with_waiting<W: World>() {
    let world = W::open(Profile { rate: Some(20), ..Profile::default() }).await;
    let ids: Vec<AccountId> = world.members(1).into_iter().map(|(account, _)| account).collect();
    let provider = world.provider();
    let (mut through, mut held_back) = (0u32, 0u32);
    eventually("sixty reads at twenty a second", async || {
        match provider.read_placements(&ids, Priority::Return).await {
            Ok(_) => through += 1,
            Err(error) => match error.class {
                ErrorClass::Retry { after } => {
                    assert!(error.proves_not_taken());
                    held_back += 1;
                    tokio::time::sleep(after.min(Duration::from_secs(1))).await;
                }
                ErrorClass::PermanentForAccount
                | ErrorClass::PermanentForPolicy
                | ErrorClass::PermanentForOrganisation
                | ErrorClass::Ambiguous => panic!("{error}"),
            },
        }
        (through >= 60).then_some(())
    })
    .await;
    assert!(held_back <= 12, "{held_back} calls were given back for {through} that went through");
}

/// Every call says so, and none claims that an account is gone.
pub async fn a_revoked_key_is_a_matter_for_an_administrator<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    let who = world.members(2);
    let ids: Vec<AccountId> = who.iter().map(|(account, _)| account.clone()).collect();
    let holders: Vec<Holder> = ids.iter().map(|account| Holder { account: account.clone(), email: None }).collect();
    world.trouble(Trouble::Revoked, Calls::All, None);
    let mut errors: Vec<ProviderError> = Vec::new();
    errors.extend(provider.read_placements(&ids, Priority::Evidence).await.err());
    errors.extend(provider.read_factors(&holders, Priority::Evidence).await.err());
    errors.extend(provider.find_accounts(Search::Accounts(&ids), Priority::Evidence).await.err());
    errors.extend(provider.page_accounts(None, Priority::Sync).await.err());
    errors.extend(provider.may_manage(&ids[0], Priority::Evidence).await.err());
    errors.extend(presence(&world, &ids[0], Look::Search).await.err());
    errors.extend(presence(&world, &ids[0], Look::Itself).await.err());
    errors.extend(told(&lend(&world, &who, &world.recovery()).await, &who).into_values().filter_map(Result::err));
    assert_eq!(errors.len(), 9);
    for error in errors {
        assert_eq!(error.class, ErrorClass::PermanentForOrganisation, "{error}");
        assert!(error.proves_not_taken(), "{error}");
    }
    world.calm();
    assert_eq!(place(&world, &ids[0]).await.and_then(|placement| placement.policy), Some(world.home()));
}
