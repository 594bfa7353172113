//! Tasks stop together, and a failing one brings the others down.

use std::time::Duration;

use homeward_chassis::shutdown::{Shutdown, ShutdownError};

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
#[error("reading the queue")]
struct Broken(#[source] std::io::Error);

/// A task that runs until it is told to stop.
fn steady(shutdown: &Shutdown) -> impl Future<Output = Result<(), std::convert::Infallible>> + use<> {
    let shutdown = shutdown.clone();
    async move {
        shutdown.cancelled().await;
        Ok(())
    }
}

fn fall() -> Result<(), std::convert::Infallible> {
    panic!("out of {}", "range")
}

#[tokio::test]
async fn tasks_end_when_they_are_told_to() {
    let shutdown = Shutdown::new();
    shutdown.spawn("steady", steady(&shutdown));
    shutdown.spawn("short", async { Ok::<_, std::convert::Infallible>(()) });
    assert!(!shutdown.is_begun());
    shutdown.begin("the test is over");
    assert_eq!(shutdown.finish(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn a_task_that_panics_brings_the_others_down_and_is_named() {
    let shutdown = Shutdown::new();
    shutdown.spawn("steady", steady(&shutdown));
    shutdown.spawn("relay", async {
        tokio::task::yield_now().await;
        fall()
    });
    let ended = shutdown.finish(PATIENCE).await;
    assert_eq!(ended, Err(ShutdownError::Panicked { task: "relay", message: "out of range".to_owned() }));
}

#[tokio::test]
async fn a_task_that_fails_is_named_with_all_causes_and_only_the_first_counts() {
    let shutdown = Shutdown::new();
    shutdown.spawn("consumer", async { Err(Broken(std::io::Error::other("connection lost"))) });
    let second = shutdown.clone();
    shutdown.spawn("follower", async move {
        second.cancelled().await;
        Err(Broken(std::io::Error::other("because of the first")))
    });
    let ended = shutdown.finish(PATIENCE).await;
    let reason = "reading the queue: connection lost".to_owned();
    assert_eq!(ended, Err(ShutdownError::Failed { task: "consumer", reason }));
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_counted() {
    let shutdown = Shutdown::new();
    shutdown.spawn("deaf", std::future::pending::<Result<(), std::convert::Infallible>>());
    shutdown.begin("the test is over");
    let patience = Duration::from_millis(20);
    assert_eq!(shutdown.finish(patience).await, Err(ShutdownError::Stuck { left: 1, patience }));
}

#[tokio::test]
async fn a_crash_drops_tasks_where_they_stand() {
    let shutdown = Shutdown::new();
    let (alive, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
    shutdown.spawn("deaf", async move {
        let _held = alive;
        std::future::pending::<Result<(), std::convert::Infallible>>().await
    });
    shutdown.crash();
    assert_eq!(shutdown.finish(PATIENCE).await, Ok(()));
    assert_eq!(dropped.recv().await, None);
}
