//! What the checks do again and again: wait with a deadline, move, read.

use std::collections::HashMap;
use std::time::Duration;

use homeward_types::{AccountId, Email, Placement, PolicyId};
use tokio::time::Instant;

use super::World;
use crate::care::{Look, Presence};
use crate::error::{ErrorClass, ProviderError};
use crate::moving::{MoveAccepted, MoveAnswer, MoveOrder};
use crate::priority::Priority;

/// Nothing in a check takes longer, unless something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// In chaos, how long a move is waited for before it is made again.
const MOVE_AGAIN: Duration = Duration::from_millis(400);

/// Looks until `look` finds something, or fails with what was waited for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Moves `who` to `to`, once.
pub(crate) async fn lend(world: &impl World, who: &[(AccountId, Email)], to: &PolicyId) -> Vec<MoveAnswer> {
    let send_before = world.clock().now() + Duration::from_secs(20);
    world.provider().move_accounts(MoveOrder { to, who, send_before, priority: Priority::Lend }).await
}

/// What each account of an order was told. Fails if one was told nothing, or twice.
pub(crate) fn told(
    answers: &[MoveAnswer],
    who: &[(AccountId, Email)],
) -> HashMap<AccountId, Result<MoveAccepted, ProviderError>> {
    let mut told = HashMap::new();
    for answer in answers {
        for account in &answer.accounts {
            assert!(told.insert(account.clone(), answer.answer.clone()).is_none(), "{account} was told twice");
        }
    }
    assert!(told.len() == who.len() && who.iter().all(|(account, _)| told.contains_key(account)), "not everybody was told");
    told
}

/// Where one account is by a read; `None` if the read misses it. Waits out what asks for patience.
pub(crate) async fn place(world: &impl World, account: &AccountId) -> Option<Placement> {
    let ids = std::slice::from_ref(account);
    let provider = world.provider();
    let read = eventually("a placement read", async || match provider.read_placements(ids, Priority::Evidence).await {
        Ok(read) => Some(read),
        Err(error) => {
            assert!(matches!(error.class, ErrorClass::Retry { .. }), "{error}");
            None
        }
    })
    .await;
    assert!(read.len() <= 1 && read.iter().all(|placement| placement.account == *account));
    read.into_iter().next()
}

/// Whether one account is there and ours, by one look.
pub(crate) async fn presence(world: &impl World, account: &AccountId, by: Look) -> Result<Presence, ProviderError> {
    let mut seen = world.provider().presence(std::slice::from_ref(account), by, Priority::Evidence).await;
    assert!(seen.len() == 1 && seen[0].account == *account, "one was asked for: {seen:?}");
    seen.remove(0).presence
}

/// Waits until everybody of `who` is read in `policy`. In chaos a move that was accepted may never happen, or only for some:
/// then whoever is not there is moved again.
pub(crate) async fn settled(world: &impl World, who: &[(AccountId, Email)], policy: &PolicyId) -> Vec<Placement> {
    let ids: Vec<AccountId> = who.iter().map(|(account, _)| account.clone()).collect();
    let (provider, mut moved_at) = (world.provider(), Instant::now());
    eventually("everybody in the policy they were moved to", async || {
        let read = provider.read_placements(&ids, Priority::Evidence).await.ok()?;
        let there = |placement: &Placement| placement.policy.as_ref() == Some(policy);
        if read.len() == ids.len() && read.iter().all(there) {
            return Some(read);
        }
        if world.is_chaotic() && moved_at.elapsed() > MOVE_AGAIN {
            let missing = |account: &AccountId| !read.iter().any(|placement| placement.account == *account && there(placement));
            let missing: Vec<_> = who.iter().filter(|(account, _)| missing(account)).cloned().collect();
            lend(world, &missing, policy).await;
            moved_at = Instant::now();
        }
        None
    })
    .await
}
