//! The exposure cap: a slot is held once, given back with the end, and the line is served in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use homeward_proto::recovery::v1 as wire;
use homeward_recovery::Recovery;
use homeward_recovery::slot::{Counter, store};
use homeward_store::{on_tx, testing, transaction};
use homeward_types::Limits;

use crate::world::{Wishes, World, on_each_engine};

/// One account may be out at a time, and users do not enrol by themselves.
fn one_at_a_time() -> Wishes {
    Wishes { limits: Limits { exposure_percent: 0.5, ..Limits::default() }, ..Wishes::default() }
}

async fn counter(world: &World) -> Counter {
    store::counter(world.database(), &"acme".parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_served_in_the_order_of_asking() {
    on_each_engine(one_at_a_time(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let mut line = Vec::new();
        for account in ["acc7", "acc8", "acc9"] {
            line.push(world.approved(account).await);
            world.advance(TimeDelta::seconds(1));
        }
        world.at(&line[0], "await-enrolment").await;
        for n in 0..line.len() {
            for waiting in &line[n + 1..] {
                let shown = world.show(waiting).await.recovery.unwrap();
                assert_eq!(shown.step, "take-slot");
                assert!(shown.next.starts_with("Waits in the line"), "{}", shown.next);
            }
            world.at(&line[n], "await-enrolment").await;
            world.directory.report_enrolled(&line[n], &format!("acc{}", n + 7));
            world.at(&line[n], "closed").await;
        }
        assert_eq!(counter(&world).await.held, 0);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_line_gives_no_slot_back_that_they_did_not_have() {
    on_each_engine(one_at_a_time(), async |world| {
        world.directory.enrols.store(false, Ordering::SeqCst);
        let (first, second) = (world.approved("acc7").await, world.approved("acc8").await);
        world.at(&first, "await-enrolment").await;
        let cancel = wire::CancelRecoveryRequest { recovery: second.clone(), reason: "found the phone".into() };
        world.as_person("rita").cancel_recovery(cancel).await.unwrap();
        assert_eq!(world.at(&second, "closed").await.outcome, "cancelled");
        // Not `outside`: a count that was taken while the first was lent may hold it there until the next.
        assert_eq!(counter(&world).await.held, 1);
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_slot_never_comes_expires() {
    on_each_engine(one_at_a_time(), async |world| {
        world.policy.deaf.store(true, Ordering::SeqCst);
        let (_first, second) = (world.approved("acc7").await, world.approved("acc8").await);
        assert_eq!(world.step(&second).await, "take-slot");
        world.advance(TimeDelta::hours(25));
        let shown = world.at(&second, "closed").await;
        assert_eq!(shown.outcome, "expired");
        assert!(world.mail.told(&second).contains("closed.owner"));
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_out_without_a_case_count_and_the_cap_follows_the_organisation() {
    let wishes = Wishes {
        limits: Limits { exposure_percent: 1.0, ..Limits::default() },
        repair: Duration::from_millis(100),
        ..Wishes::default()
    };
    on_each_engine(wishes, async |world| {
        world.policy.strays.store(2, Ordering::SeqCst);
        until(&world, Counter { held: 0, outside: 2, cap: 2 }).await;
        let id = world.approved("acc7").await;
        assert_eq!(world.step(&id).await, "take-slot", "both places are taken by strays");
        world.policy.strays.store(0, Ordering::SeqCst);
        assert_eq!(world.at(&id, "closed").await.outcome, "enrolled");
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_counter_is_counted_anew() {
    on_each_engine(one_at_a_time(), async |world| {
        transaction!(*world.db, "test.spoil", async |tx| -> Result<(), homeward_store::StoreError> {
            on_tx!(tx, c => sqlx::query("UPDATE slot_counter SET held = 7").execute(c).await.map(drop))?;
            Ok(())
        })
        .unwrap();
        until(&world, Counter { held: 0, outside: 0, cap: 1 }).await;
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        world.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_serve_one_line_and_nobody_is_forgotten() {
    let wishes = Wishes {
        limits: Limits { exposure_percent: 1.5, re_ask: Duration::from_millis(50), ..Limits::default() },
        ..Wishes::default()
    };
    for db in testing::migrated(&Recovery::migrations()).await {
        let mut world = World::start_for_several(db, wishes.clone()).await;
        world.start_another().await;
        world.directory.enrols.store(false, Ordering::SeqCst);
        let accounts: Vec<String> = (10..40).map(|n| format!("acc{n}")).collect();
        let mut line = Vec::new();
        for account in &accounts {
            line.push((world.approved(account).await, account));
        }
        let (mut most, began) = (0, std::time::Instant::now());
        while !line.is_empty() {
            assert!(began.elapsed() < Duration::from_mins(1), "they wait on: {line:?}");
            // Timers of both processes come due while the line moves.
            world.advance(TimeDelta::milliseconds(100));
            most = most.max(counter(&world).await.held);
            let mut left = Vec::new();
            for (id, account) in line {
                match world.step(&id).await.as_str() {
                    "closed" => assert_eq!(world.show(&id).await.recovery.unwrap().outcome, "enrolled"),
                    step => {
                        if step == "await-enrolment" {
                            world.directory.report_enrolled(&id, account);
                        }
                        left.push((id, account));
                    }
                }
            }
            line = left;
        }
        assert!((1..=3).contains(&most), "{most} slots were held, of 3");
        until(&world, Counter { held: 0, outside: 0, cap: 3 }).await;
        world.end().await;
    }
}

async fn until(world: &World, wanted: Counter) {
    for _ in 0..2_000 {
        if counter(world).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the counter is {:?}, not {wanted:?}", counter(world).await);
}
