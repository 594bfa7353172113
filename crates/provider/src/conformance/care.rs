//! Checks of containment, tokens, events, and of accounts that went.

use std::collections::HashSet;

use homeward_types::{AccountId, Factor};

use super::{Change, Profile, World, eventually, lend, presence, settled};
use crate::account::Cursor;
use crate::care::{Look, Presence, Reset};
use crate::event::Event;
use crate::priority::Priority;

const FIRST: Priority = Priority::Return;

/// Off and on, each twice.
pub async fn containment_is_reversible<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    if !provider.capabilities().containment {
        return;
    }
    let (account, email) = world.members(1).remove(0);
    for _ in 0..2 {
        provider.disable(&account, "repudiated", FIRST).await.expect("also when it is off already");
        assert_eq!(world.truth(&account).map(|truth| truth.enabled), Some(false));
        assert_eq!(presence(&world, &account, Look::Search).await.ok(), Some(Presence::Managed), "disabled is not gone");
    }
    for _ in 0..2 {
        provider.enable(&account, FIRST).await.expect("also when it is on already");
        assert_eq!(world.truth(&account).map(|truth| truth.enabled), Some(true));
    }
    world.change(&account, Change::Factor(true));
    match provider.reset_factor(&account, &email, FIRST).await.expect("nothing is wrong") {
        Reset::Done => assert_eq!(world.truth(&account).map(|truth| truth.factor), Some(Factor::Absent)),
        Reset::Person(instruction) => {
            assert!(instruction.how.contains(email.as_str()), "{}", instruction.how);
            assert_eq!(provider.reset_instruction(&account, &email), Some(instruction));
        }
    }
}

/// Where it moves, it is seen; where not, the task or the answer says so and it stays.
pub async fn a_disabled_account_moves_or_does_not<W: World>() {
    for disabled_moves in [true, false] {
        let world = W::open(Profile { disabled_moves, ..Profile::default() }).await;
        let provider = world.provider();
        if !provider.capabilities().containment {
            return;
        }
        let members = world.members(2);
        provider.disable(&members[0].0, "contained", FIRST).await.expect("nothing is wrong");
        lend(&world, &members, &world.recovery()).await;
        settled(&world, &members[1..], &world.recovery()).await;
        let moved = world.truth(&members[0].0).and_then(|truth| truth.policy) == Some(world.recovery());
        assert_eq!(moved, disabled_moves);
    }
}

/// What was made is listed with its time, deleted once, and stays deleted.
pub async fn tokens_of_the_window_are_listed_and_deleted<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    if !provider.capabilities().tokens {
        return;
    }
    let (account, _) = world.members(1).remove(0);
    let before = provider.list_tokens(&account, FIRST).await.expect("nothing is wrong");
    let opened = world.clock().now();
    world.change(&account, Change::Token("made in the window".into()));
    let known: HashSet<&str> = before.iter().map(|token| token.id.as_str()).collect();
    let after = provider.list_tokens(&account, FIRST).await.expect("nothing is wrong");
    let made: Vec<_> = after.iter().filter(|token| !known.contains(token.id.as_str())).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].label, "made in the window");
    let slack = std::time::Duration::from_millis(1); // the provider writes milliseconds
    assert!(made[0].created_at.is_none_or(|at| at + slack >= opened), "{:?} before {opened}", made[0].created_at);
    for _ in 0..2 {
        provider.delete_token(&account, &made[0].id, FIRST).await.expect("also when it is gone already");
    }
    assert_eq!(provider.list_tokens(&account, FIRST).await.expect("nothing is wrong"), before);
}

/// Nothing between two readings is lost, and nothing is read twice.
pub async fn events_are_read_on_from_where_we_stopped<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    if !provider.capabilities().events {
        return;
    }
    let who = world.members(3);
    let from = world.clock().now() - std::time::Duration::from_secs(1);
    let mut cursor: Option<Cursor> = None;
    let mut seen: Vec<Event> = Vec::new();
    for round in 0..3 {
        let to = if round % 2 == 0 { world.recovery() } else { world.home() };
        lend(&world, &who, &to).await;
        settled(&world, &who, &to).await;
        let wanted = (round + 1) * who.len();
        eventually("the events of the moves", async || {
            let page = provider.events_since(cursor.as_ref(), from, Priority::Evidence).await.ok()?;
            cursor = page.next;
            seen.extend(page.events);
            let about = |event: &&Event| {
                who.iter().any(|(account, email)| event.subjects.contains(account) || event.subject_emails.contains(email))
            };
            (seen.iter().filter(about).count() >= wanted).then_some(())
        })
        .await;
    }
    let ids: HashSet<&str> = seen.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), seen.len(), "an event was read twice");
    assert!(seen.iter().all(|event| event.at >= from && !event.action.is_empty()));
}

/// Deleted or unclaimed, by both looks; an account that is there is missed by neither.
pub async fn an_account_that_went_is_missed_by_two_different_calls<W: World>() {
    let world = W::open(Profile::default()).await;
    let members = world.members(3);
    world.change(&members[0].0, Change::Delete);
    world.change(&members[1].0, Change::Unclaim);
    let expected = [Presence::NotFound, Presence::NotManaged, Presence::Managed];
    let accounts: Vec<AccountId> = members.into_iter().map(|(account, _)| account).collect();
    for look in [Look::Search, Look::Itself] {
        let seen = world.provider().presence(&accounts, look, FIRST).await;
        assert_eq!(seen.len(), accounts.len(), "{look:?}");
        for (account, expected) in accounts.iter().zip(expected) {
            let sighting = seen.iter().find(|sighting| sighting.account == *account).expect("each is told");
            assert_eq!(sighting.presence.as_ref().ok(), Some(&expected), "{look:?}");
        }
    }
}

/// Never a call for each account where one takes several.
pub async fn many_that_are_missing_are_looked_for_in_bulk<W: World>() {
    let world = W::open(Profile::default()).await;
    let provider = world.provider();
    let nobody = |n: usize| format!("000000:nobody-{n}").parse::<AccountId>().expect("a well-formed id");
    let accounts: Vec<AccountId> = (0..100).map(nobody).collect();
    let fewest = accounts.len().div_ceil(provider.capabilities().search_batch) as u64;
    let before = world.calls();
    let seen = provider.presence(&accounts, Look::Search, FIRST).await;
    assert_eq!(world.calls() - before, fewest, "calls to look for {} accounts", accounts.len());
    assert_eq!(seen.iter().map(|sighting| &sighting.account).collect::<HashSet<_>>(), accounts.iter().collect());
    assert!(seen.iter().all(|sighting| sighting.presence.as_ref().is_ok_and(|presence| *presence == Presence::NotFound)));
    assert!(provider.presence(&[], Look::Search, FIRST).await.is_empty());
    assert_eq!(world.calls() - before, fewest, "nobody is looked for without a call");
}
