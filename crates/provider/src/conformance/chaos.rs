//! The whole of it at once: everything goes wrong by chance, and a patient caller still brings everybody home.

use std::collections::HashMap;
use std::time::Duration;

use homeward_types::{AccountId, Email, Factor, PolicyId};
use tokio::time::Instant;

use super::{Profile, World, eventually, lend, told};
use crate::account::Holder;
use crate::error::ErrorClass;
use crate::priority::Priority;

const LATE: Duration = Duration::from_millis(200);
const PROBABILITY: f64 = 0.03;

/// Out and home again under the chaos profile, twice; afterwards the truth is home for everybody, and no read ever gave
/// one account's facts as another's.
pub async fn in_chaos_everybody_comes_home<W: World>() {
    let world = W::open(Profile { accounts: 400, delay: LATE / 4, lag: LATE / 2, ..Profile::default() }).await;
    let members = world.members(250);
    let factors: HashMap<AccountId, Factor> =
        members.iter().map(|(account, _)| (account.clone(), world.truth(account).expect("it exists").factor)).collect();
    world.chaos(PROBABILITY, LATE);
    for to in [world.recovery(), world.home(), world.recovery(), world.home()] {
        bring(&world, &members, &to).await;
        check_factors(&world, &members, &factors).await;
    }
    world.calm();
    // Late moves of earlier rounds may still happen; a settled account is one that no move can still reach.
    let quiet = Instant::now() + LATE * 4;
    eventually("the last late move", async || (Instant::now() >= quiet).then_some(())).await;
    bring(&world, &members, &world.home()).await;
    for (account, _) in &members {
        assert_eq!(world.truth(account).and_then(|truth| truth.policy), Some(world.home()), "{account}");
    }
    assert_eq!(world.undocumented_calls(), 0);
}

/// Moves and reads until all reads agree for longer than any move can still take; then they agree with the truth. Which answers
/// may come is checked on the way.
async fn bring(world: &impl World, members: &[(AccountId, Email)], to: &PolicyId) {
    let provider = world.provider();
    let mut agreed_at: Option<Instant> = None;
    eventually("everybody in one policy, in chaos", async || {
        let ids: Vec<AccountId> = members.iter().map(|(account, _)| account.clone()).collect();
        let read = match provider.read_placements(&ids, Priority::Evidence).await {
            Ok(read) => read,
            Err(error) => {
                assert!(matches!(error.class, ErrorClass::Retry { .. } | ErrorClass::PermanentForOrganisation), "{error}");
                assert!(error.proves_not_taken(), "a read changed something: {error}");
                return None;
            }
        };
        let there: HashMap<&AccountId, bool> =
            read.iter().map(|placement| (&placement.account, placement.policy.as_ref() == Some(to))).collect();
        let missing: Vec<(AccountId, Email)> =
            members.iter().filter(|(account, _)| !there.get(account).copied().unwrap_or(false)).cloned().collect();
        if missing.is_empty() {
            let since = *agreed_at.get_or_insert_with(Instant::now);
            return (since.elapsed() >= LATE * 3).then_some(());
        }
        agreed_at = None;
        told(&lend(world, &missing, to).await, &missing);
        None
    })
    .await;
    for (account, _) in members {
        assert_eq!(world.truth(account).and_then(|truth| truth.policy).as_ref(), Some(to), "{account}");
    }
}

async fn check_factors(world: &impl World, members: &[(AccountId, Email)], factors: &HashMap<AccountId, Factor>) {
    let holders: Vec<Holder> =
        members.iter().map(|(account, email)| Holder { account: account.clone(), email: Some(email.clone()) }).collect();
    let provider = world.provider();
    let read =
        eventually("a factor read in chaos", async || provider.read_factors(&holders, Priority::Evidence).await.ok()).await;
    assert_eq!(read.len(), members.len());
    assert!(read.iter().all(|reading| factors.get(&reading.account) == Some(&reading.factor)));
}
