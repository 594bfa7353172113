//! Timers: found by whoever looks, taken by one, and never lost. Each test runs on both databases.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use homeward_saga::Handled;
use homeward_types::Clock;
use uuid::Uuid;

use crate::demo::{Command, Input, Loan, PATIENCE};
use crate::library::{Library, Mood, World, begin_loan, clock, databases, loans};
use crate::store;

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_is_due_happens_and_what_is_not_does_not() {
    for db in databases().await {
        let clock = clock();
        let library = Library::silent(db.clone(), &clock, &World::default().post);
        let early = loans(600);
        library.begin(&early).await;
        assert_eq!(library.coordinator.tick().await.unwrap(), 0);
        clock.advance(PATIENCE / 4);
        let late = loans(5);
        library.begin(&late).await;
        clock.advance(PATIENCE / 4);
        assert_eq!(library.coordinator.tick().await.unwrap(), 600, "the first reminders, in two transactions");
        assert_eq!(library.coordinator.tick().await.unwrap(), 0);
        clock.advance(PATIENCE / 2);
        assert_eq!(library.coordinator.tick().await.unwrap(), 605);
        assert_eq!((library.step(early[0]).await, library.step(late[0]).await), ("tell".to_owned(), "agree".to_owned()));
        assert_eq!(store::due(&db, clock.now()).await, 0, "nothing stays due");
    }
}

#[tokio::test]
async fn the_running_coordinator_wakes_for_the_nearest_timer() {
    for db in databases().await {
        let (clock, mut world) = (clock(), World::default());
        let library = Library::open(db.clone(), &clock, &world.post);
        library.start_working();
        let id = Uuid::new_v4();
        library.coordinator.submit(vec![begin_loan(id)]).await.unwrap();
        clock.advance(PATIENCE);
        library.coordinator.wake();
        until("the deadline passes", || async { library.step(id).await == "tell" }).await;
        // Nobody wakes it for the next one: it looks by itself.
        clock.advance(TimeDelta::seconds(10));
        until("it asks again", || async { library.see(id).await.progress.asked_again > 0 }).await;
        until("all is published", || async { library.outbox.backlog().await.unwrap().waiting == 0 }).await;
        world.carry(&library.post.take(), 1);
        assert_eq!(world.carried.iter().filter(|(_, command)| *command == Command::Tell).count(), 2);
    }
}

#[tokio::test]
async fn two_coordinators_share_the_timers_and_each_happens_once() {
    for db in databases().await {
        let (clock, mut world) = (clock(), World::default());
        let one = Library::open(db.clone(), &clock, &world.post);
        let two = Library::open(db.reopen().await, &clock, &world.post);
        let loans = loans(700);
        one.begin(&loans).await;
        clock.advance(PATIENCE / 2);
        let (first, second) = tokio::join!(one.coordinator.tick(), two.coordinator.tick());
        let (first, second) = (first.unwrap(), second.unwrap());
        // What one of them held while the other looked is left for the next look.
        let rest = one.coordinator.tick().await.unwrap();
        assert_eq!(first + second + rest, 700, "{first} and {second} and {rest}");
        until("all is published", || async { one.outbox.backlog().await.unwrap().waiting == 0 }).await;
        world.carry(&one.post.take(), 1);
        let reminders = world.carried.iter().filter(|(_, command)| *command == Command::Remind).count();
        assert_eq!(reminders, 700);
    }
}

#[tokio::test]
async fn a_timer_of_a_coordinator_that_died_is_taken_by_another() {
    for db in databases().await {
        let (clock, world) = (clock(), World::default());
        let dead = Library::silent(db.clone(), &clock, &world.post);
        let id = Uuid::new_v4();
        dead.begin(&[id]).await;
        drop(dead);
        let other = Library::silent(db.reopen().await, &clock, &world.post);
        other.start_working();
        clock.advance(PATIENCE);
        until("the deadline passes", || async { other.step(id).await == "tell" }).await;
    }
}

#[tokio::test]
async fn a_due_saga_that_cannot_be_handled_rests_and_holds_nobody_up() {
    for db in databases().await {
        let (clock, world) = (clock(), World::default());
        let library = Library::silent(db.clone(), &clock, &world.post);
        let loans = loans(9);
        library.begin(&loans).await;
        // One whose data is broken, and one that the service cannot bear.
        store::tamper(&db, loans[2], 2, serde_json::json!({"agreed": 7})).await;
        library.set_mood(Mood::Refuses(loans[4]));
        clock.advance(PATIENCE);
        assert_eq!(library.coordinator.tick().await.unwrap(), 9);
        for at in [0, 1, 3, 5, 6, 7, 8] {
            assert_eq!(library.step(loans[at]).await, "tell", "{at}");
        }
        assert_eq!(library.coordinator.tick().await.unwrap(), 0, "the two that failed rest");
        store::tamper(&db, loans[2], 2, serde_json::to_value(Loan::default()).unwrap()).await;
        library.set_mood(Mood::Fine);
        clock.advance(TimeDelta::seconds(60));
        library.coordinator.tick().await.unwrap();
        assert_eq!(library.step(loans[2]).await, "tell", "mended");
        assert_eq!(library.step(loans[4]).await, "tell", "mended");
    }
}

#[tokio::test]
async fn timers_of_other_versions_are_left_alone() {
    for db in databases().await {
        let (clock, world) = (clock(), World::default());
        let library = Library::silent(db.clone(), &clock, &world.post);
        let id = Uuid::new_v4();
        library.begin(&[id]).await;
        store::tamper(&db, id, 9, serde_json::to_value(Loan::default()).unwrap()).await;
        clock.advance(PATIENCE);
        assert_eq!(library.coordinator.tick().await.unwrap(), 0);
        assert_eq!(store::due(&db, clock.now()).await, 1, "it stays due for the program that has its definition");
    }
}

#[tokio::test]
async fn timers_are_taken_along_with_what_is_submitted() {
    for db in databases().await {
        let (clock, world) = (clock(), World::default());
        let library = Library::silent(db.clone(), &clock, &world.post);
        let loans = loans(3);
        library.begin(&loans).await;
        clock.advance(PATIENCE);
        library.start_working();
        let handled =
            library.coordinator.submit(vec![homeward_saga::Arrival::input(loans[0], Input::Agreed(true))]).await.unwrap();
        assert!(matches!(handled[0], Handled::Done { .. }));
        until("the others' deadline passes", || async {
            library.step(loans[1]).await == "tell" && library.step(loans[2]).await == "tell"
        })
        .await;
    }
}
