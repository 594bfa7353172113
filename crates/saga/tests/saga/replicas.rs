//! Two processes of the service on one database.

use std::time::Duration;

use homeward_saga::{Arrival, Handled};
use homeward_store::testing::TestDatabase;
use homeward_store::{StoreError, transaction};

use crate::demo::{Input, Lending};
use crate::library::{Library, World, clock, databases, loans};
use crate::store;

async fn postgres() -> TestDatabase {
    databases().await.into_iter().find(|db| db.is_postgres()).unwrap()
}

/// A process has the shelf and serves whoever waits for a copy; another has one who waits, and wants the shelf: neither may
/// wait for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_for_a_saga_in_other_hands_comes_after_the_commit() {
    let db = postgres().await;
    let library = Library::silent(db.clone(), &clock(), &World::default().post);
    let loans = loans(4);
    library.begin(&loans).await;
    library.say(&loans, &Input::Agreed(true)).await;
    assert_eq!(library.step(loans[3]).await, "keep-copy", "there are three copies");

    let mut other = db.begin().await.unwrap();
    store::hold(&mut other, loans[3]).await;
    let back = Input::Book(crate::table::home(1));
    let freeing = library.say(&loans[..1], &back);
    let meanwhile = async {
        while library.step(loans[0]).await == "hand-out" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        store::turn_over(&mut other, &[], &[]).await.unwrap();
        other.rollback().await.unwrap();
    };
    // Longer than PostgreSQL takes to find a circle and break it.
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(freeing, meanwhile) }).await.unwrap();
    assert_eq!(library.step(loans[3]).await, "hand-out");
}

/// The line moves while two processes hand books out and take them back, and nobody is forgotten or served twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_serve_one_line() {
    let db = postgres().await;
    let post = World::default().post;
    let processes = [Library::silent(db.clone(), &clock(), &post), Library::silent(db.reopen().await, &clock(), &post)];
    let loans = loans(60);
    processes[0].begin(&loans).await;
    processes[0].say(&loans, &Input::Agreed(true)).await;
    let halves: [Vec<_>; 2] = [0, 1].map(|of| loans.iter().copied().skip(of).step_by(2).collect());
    let serve = async |process: &Library, mine: &[uuid::Uuid]| {
        loop {
            let mut waiting = 0;
            let mut books = Vec::new();
            for loan in mine {
                match process.step(*loan).await.as_str() {
                    "hand-out" => books.push(*loan),
                    "keep-copy" => waiting += 1,
                    _ => {}
                }
            }
            if books.is_empty() && waiting == 0 {
                return;
            }
            let home = |loan: &uuid::Uuid| Arrival::input(*loan, Input::Book(crate::table::home(1)));
            let handled: Vec<Handled<Lending>> = process.coordinator.handle(books.iter().map(home).collect()).await.unwrap();
            assert!(handled.iter().all(|handled| matches!(handled, Handled::Done { .. })), "{handled:?}");
        }
    };
    let both = async { tokio::join!(serve(&processes[0], &halves[0]), serve(&processes[1], &halves[1])) };
    tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
    assert_eq!(store::copies(&db).await, 0, "every copy was given back");
    // What is written once more does no harm, and shows that nothing is held.
    transaction!(*db, "test.look", async |tx| -> Result<(), StoreError> { store::turn_over(tx, &[], &[]).await.map(drop) })
        .unwrap();
}
