//! Checks of what an adapter says of itself: what it claims to know is so, and what it has been told it passes on.

use std::time::Duration;

use homeward_types::Factor;
use tokio::time::Instant;

use super::{Change, Profile, World, eventually, lend};
use crate::account::Holder;
use crate::capabilities::{CallKind, CallLimit, Freshness, LimitSource};
use crate::port::IdentityProvider;
use crate::priority::Priority;

/// The window in which the simulated provider counts calls (see [`Profile::rate`]).
const WINDOW: Duration = Duration::from_secs(1);

const LAG: Duration = Duration::from_millis(800);

fn told(provider: &dyn IdentityProvider, kind: CallKind) -> Vec<CallLimit> {
    let limits = provider.capabilities().rate_limits.into_iter();
    limits
        .filter(|limit| limit.kind == kind)
        .filter_map(|limit| limit.limit)
        .filter(|limit| limit.source == LimitSource::Answers)
        .collect()
}

/// A limit that answers tell is known after the first of them, and none is said to be told that was not.
pub async fn a_limit_that_answers_tell_is_told_on<W: World>() {
    for rate in [None, Some(20)] {
        let world = W::open(Profile { rate, ..Profile::default() }).await;
        if rate.is_some() && !world.tells_limits() {
            return;
        }
        let provider = world.provider();
        let ids: Vec<_> = world.members(1).into_iter().map(|(account, _)| account).collect();
        assert!(told(&*provider, CallKind::Placements).is_empty(), "nothing was answered yet");
        provider.read_placements(&ids, Priority::Evidence).await.expect("nothing is wrong");
        let limits = told(&*provider, CallKind::Placements);
        assert_eq!(limits.first().map(|limit| limit.calls), rate, "{limits:?}");
        assert!(limits.iter().all(|limit| limit.per.is_none_or(|per| per == WINDOW)), "{limits:?}");
        assert!(told(&*provider, CallKind::Moves).is_empty(), "no move was answered");
    }
}

/// What was behind is not called up to date, and not less behind than it was.
fn admits(claim: Freshness, behind: Duration, what: &str) {
    match claim {
        Freshness::AtOnce => panic!("{what} were {behind:?} behind, and the adapter says that they never are"),
        Freshness::Behind { at_most: Some(most) } => assert!(behind <= most, "{what} were {behind:?} behind, not {most:?}"),
        Freshness::Behind { at_most: None } | Freshness::Unknown => {}
    }
}

/// How long reads went on to show what was before, at least.
async fn behind(what: &str, since: Instant, mut shows_the_new: impl AsyncFnMut() -> Option<bool>) -> Duration {
    let mut behind = None;
    eventually(what, async || {
        let begun = Instant::now();
        if shows_the_new().await? {
            return Some(());
        }
        behind = Some(begun - since);
        None
    })
    .await;
    behind.unwrap_or_else(|| panic!("{what}: the simulated provider's reads are not behind, so that nothing is checked"))
}

/// Reads that are behind are not called up to date: a decision would rest on them.
pub async fn reads_that_are_behind_are_not_called_up_to_date<W: World>() {
    let world = W::open(Profile { lag: LAG, ..Profile::default() }).await;
    let (provider, who) = (world.provider(), world.members(1));
    let (account, email) = who[0].clone();
    let claims = provider.capabilities().eventual;

    lend(&world, &who, &world.recovery()).await;
    let happened = async || (world.truth(&account)?.policy == Some(world.recovery())).then_some(Instant::now());
    let since = eventually("the move", happened).await;
    let placed = behind("placements", since, async || {
        let read = provider.read_placements(std::slice::from_ref(&account), Priority::Evidence).await.ok()?;
        Some(read.first()?.policy == Some(world.recovery()))
    });
    admits(claims.placements, placed.await, "placements");

    if provider.capabilities().factor_readable {
        world.change(&account, Change::Factor(true));
        let holder = [Holder { account: account.clone(), email: Some(email) }];
        let read = behind("factors", Instant::now(), async || {
            let read = provider.read_factors(&holder, Priority::Evidence).await.ok()?;
            Some(read.first()?.factor == Factor::Enrolled)
        });
        admits(claims.factors, read.await, "factors");
    }
}
