//! Checks of moves: what is accepted, what happens, what is seen.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use homeward_types::{AccountId, Email};

use super::{Change, Profile, World, eventually, lend, place, settled, told};
use crate::error::ErrorClass;
use crate::moving::{MoveAccepted, MoveAnswer, MoveOrder, TaskId, TaskReport};
use crate::priority::Priority;

const SHORT: Duration = Duration::from_millis(150);

/// The tasks that an order was answered with.
pub(super) fn tasks(answers: &[MoveAnswer]) -> Vec<TaskId> {
    let task = |answer: &MoveAnswer| match &answer.answer {
        Ok(MoveAccepted::Task(task)) => Some(task.clone()),
        Ok(MoveAccepted::Applied) => None,
        Err(error) => panic!("nothing is wrong, but: {error}"),
    };
    answers.iter().filter_map(task).collect()
}

/// The report of a task that is done.
pub(super) async fn finished(world: &impl World, task: &TaskId) -> TaskReport {
    let provider = world.provider();
    eventually("the end of a task", async || {
        let report = provider.poll_task(task, Priority::Evidence).await.expect("nothing is wrong").expect("it is known");
        (!report.running).then_some(report)
    })
    .await
}

fn at_home(world: &impl World, who: &[(AccountId, Email)]) -> bool {
    who.iter().all(|(account, _)| world.truth(account).and_then(|truth| truth.policy) == Some(world.home()))
}

/// Out and back, with the truth beside it; nobody else moves.
pub async fn a_move_is_accepted_then_done_then_seen<W: World>() {
    let world = W::open(Profile { delay: SHORT, ..Profile::default() }).await;
    let members = world.members(60);
    let (who, others) = members.split_at(50);
    let before = place(&world, &who[0].0).await.expect("it is placed");
    assert_eq!(before.policy, Some(world.home()));
    assert_eq!(before.email.as_ref(), Some(&who[0].1), "the address comes with the placement, because moves are keyed by it");
    for to in [world.recovery(), world.home()] {
        let answers = lend(&world, who, &to).await;
        for task in tasks(&answers) {
            let report = finished(&world, &task).await;
            assert_eq!((report.failed, report.failures.len()), (0, 0));
        }
        let read = settled(&world, who, &to).await;
        assert!(
            read.iter().all(|placement| world.truth(&placement.account).and_then(|truth| truth.policy).as_ref() == Some(&to))
        );
        if world.provider().capabilities().placement_versions {
            assert!(read.iter().all(|placement| placement.version > before.version));
        }
        assert!(at_home(&world, others));
    }
    assert_eq!(world.undocumented_calls(), 0);
}

/// Whether the provider calls it a success or a failure.
pub async fn moving_a_member_again_changes_nothing<W: World>() {
    for already_member_fails in [false, true] {
        let world = W::open(Profile { already_member_fails, ..Profile::default() }).await;
        let who = world.members(10);
        lend(&world, &who, &world.recovery()).await;
        settled(&world, &who, &world.recovery()).await;
        let answers = lend(&world, &who, &world.recovery()).await;
        for task in tasks(&answers) {
            let report = finished(&world, &task).await;
            assert_eq!(report.failed, if already_member_fails { 10 } else { 0 });
        }
        let read = settled(&world, &who, &world.recovery()).await;
        assert_eq!(read.len(), who.len(), "the placement is the judge, whatever the task says");
    }
}

/// An address that cannot be moved is told alone, in the answer or in the task; everybody else moves.
pub async fn one_bad_address_blocks_nobody<W: World>() {
    for bad_address_spoils in [false, true] {
        let world = W::open(Profile { bad_address_spoils, ..Profile::default() }).await;
        let mut who = world.members(40);
        let bad = world.unmanaged();
        who.insert(17, bad.clone());
        let answers = lend(&world, &who, &world.recovery()).await;
        let told = told(&answers, &who);
        let mut refused: Vec<Email> = Vec::new();
        for (account, answer) in &told {
            match answer {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!((account, error.class), (&bad.0, ErrorClass::PermanentForAccount), "{error}");
                    assert!(error.proves_not_taken());
                    refused.push(bad.1.clone());
                }
            }
        }
        let accepted: Vec<MoveAnswer> = answers.into_iter().filter(|answer| answer.answer.is_ok()).collect();
        for task in tasks(&accepted) {
            refused.extend(finished(&world, &task).await.failures.into_iter().map(|failure| failure.email));
        }
        assert_eq!(refused, [bad.1]);
        who.remove(17);
        settled(&world, &who, &world.recovery()).await;
    }
}

/// A provider that takes fewer than we think gets fewer.
pub async fn a_smaller_limit_than_we_know_blocks_nobody<W: World>() {
    let world = W::open(Profile { batch_limit: Some(13), ..Profile::default() }).await;
    let who = world.members(100);
    for round in 0..6 {
        let to = if round % 2 == 0 { world.recovery() } else { world.home() };
        let answers = lend(&world, &who, &to).await;
        assert!(told(&answers, &who).values().all(Result::is_ok));
        settled(&world, &who, &to).await;
    }
    let learned = world.provider().capabilities().move_batch;
    // In chaos it takes longer.
    assert!(world.is_chaotic() || (12..=13).contains(&learned), "{learned}");
}

/// A move names addresses; whoever holds one when it happens is moved, and the reads say who that was.
pub async fn addresses_swapped_during_a_move_show_in_the_next_read<W: World>() {
    let world = W::open(Profile { delay: SHORT, ..Profile::default() }).await;
    let members = world.members(2);
    let [(first, _), (second, _)] = &members[..] else { panic!("two members") };
    lend(&world, &members[..1], &world.recovery()).await;
    world.change(first, Change::SwapWith(second.clone()));
    let out = eventually("somebody moved", async || {
        let moved = |account: &AccountId| world.truth(account).and_then(|truth| truth.policy) == Some(world.recovery());
        [first, second].into_iter().find(|account| moved(account))
    })
    .await;
    for account in [first, second] {
        let placement = place(&world, account).await.expect("it is placed");
        let truth = world.truth(account).expect("it exists");
        assert_eq!((placement.policy, placement.email), (truth.policy, Some(truth.email)), "the one moved was {out}");
    }
}

/// Also where adding an account again leaves the version as it was.
pub async fn a_version_never_goes_back<W: World>() {
    for version_kept in [false, true] {
        let world = W::open(Profile { version_kept, ..Profile::default() }).await;
        let who = world.members(1);
        let mut reads = vec![place(&world, &who[0].0).await.expect("it is placed")];
        for to in [world.recovery(), world.recovery(), world.home()] {
            lend(&world, &who, &to).await;
            reads.extend(settled(&world, &who, &to).await);
        }
        if !version_kept && world.provider().capabilities().placement_versions {
            assert!(reads.windows(2).all(|pair| pair[0].version <= pair[1].version), "{reads:?}");
            assert!(reads[0].version < reads[1].version && reads[2].version < reads[3].version, "{reads:?}");
        }
        assert!(reads.windows(2).all(|pair| pair[0].begun_at <= pair[1].begun_at));
    }
}

/// A read that lags says when it began, so that the caller can tell that it is too early to count.
pub async fn a_read_before_its_time_may_be_old_but_says_when_it_began<W: World>() {
    let world = W::open(Profile { lag: SHORT * 2, ..Profile::default() }).await;
    let who = world.members(5);
    lend(&world, &who, &world.recovery()).await;
    let moved = eventually("the effect", async || (!at_home(&world, &who[..1])).then(|| world.clock().now())).await;
    let read = settled(&world, &who, &world.recovery()).await;
    assert!(read.iter().all(|placement| placement.begun_at <= world.clock().now()));
    let late = moved + SHORT * 2;
    let after = eventually("a read begun after the lag", async || {
        let placement = place(&world, &who[0].0).await?;
        (placement.begun_at >= late).then_some(placement)
    })
    .await;
    assert_eq!(after.policy, Some(world.recovery()), "a read begun after the lag shows the effect");
}

/// A claim that is over sends nothing.
pub async fn nothing_is_sent_when_its_time_is_over<W: World>() {
    let world = W::open(Profile::default()).await;
    let who = world.members(3);
    let (to, before) = (world.recovery(), world.calls());
    let order = MoveOrder { to: &to, who: &who, send_before: world.clock().now(), priority: Priority::Return };
    let answers = world.provider().move_accounts(order).await;
    let told = told(&answers, &who);
    assert!(told.values().all(|answer| answer.as_ref().is_err_and(crate::ProviderError::proves_not_taken)));
    assert_eq!(world.calls(), before);
}

/// Dropping a call in the middle harms no later call.
pub async fn a_cancelled_move_leaves_the_adapter_whole<W: World>() {
    let world = W::open(Profile { delay: SHORT, ..Profile::default() }).await;
    let who = world.members(5);
    for micros in [0, 100, 500, 1_000, 3_000] {
        let to = world.recovery();
        let mut call = Box::pin(lend(&world, &who, &to));
        // Begun, and then, while the request is on its way, dropped.
        std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        tokio::time::sleep(Duration::from_micros(micros)).await;
        drop(call);
    }
    for to in [world.recovery(), world.home()] {
        let answers = lend(&world, &who, &to).await;
        assert!(told(&answers, &who).values().all(Result::is_ok), "{answers:?}");
        settled(&world, &who, &to).await;
    }
}
