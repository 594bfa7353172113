//! All or nothing, and again when the engine had to let another one pass.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use homeward_store::testing::TestDatabase;
use homeward_store::{Database, Options, StoreError, Tx, on, on_tx, one_row, testing, transaction};
use tokio::sync::Barrier;

use crate::TABLES;

/// How a service's own error holds the store's.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("refused")]
    Refused,
}

#[derive(Debug, thiserror::Error)]
#[error("keeping the lease")]
struct Wrapped(#[source] LeaseError);

impl From<StoreError> for Wrapped {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

async fn add(tx: &mut Tx, name: &str, by: i64) -> Result<(), StoreError> {
    let changed = on_tx!(tx, c => sqlx::query("UPDATE counter SET value = value + $1 WHERE name = $2").bind(by).bind(name).execute(c).await
        .map(|done| done.rows_affected()))?;
    one_row(changed, "counter")
}

async fn value(db: &Database, name: &str) -> i64 {
    on!(db, pool => sqlx::query_scalar("SELECT value FROM counter WHERE name = $1").bind(name).fetch_one(pool).await).unwrap()
}

#[tokio::test]
async fn a_failed_block_leaves_nothing_behind_and_runs_once() {
    for db in testing::migrated(&[TABLES]).await {
        let mut runs = 0;
        let failed = transaction!(db, "counter.add", async |tx| -> Result<(), LeaseError> {
            runs += 1;
            add(tx, "a", 5).await?;
            Err(LeaseError::Refused)
        });
        assert!(matches!(failed, Err(LeaseError::Refused)));
        assert_eq!((value(&db, "a").await, runs), (0, 1), "{}", db.system());
    }
}

#[tokio::test]
async fn a_transaction_dropped_half_way_leaves_nothing_behind() {
    for db in testing::migrated(&[TABLES]).await {
        let mut tx = db.begin().await.unwrap();
        add(&mut tx, "a", 5).await.unwrap();
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        add(&mut tx, "a", 1).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(value(&db, "a").await, 1, "{}", db.system());
    }
}

#[tokio::test]
async fn an_update_that_meets_another_state_is_an_error_that_names_it() {
    for db in testing::migrated(&[TABLES]).await {
        let missed = transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "nobody", 1).await });
        assert_eq!(missed.unwrap_err().to_string(), "expected to change one counter, changed 0");
    }
}

#[tokio::test]
async fn a_block_may_borrow_mutably_and_its_future_can_be_spawned() {
    for db in testing::migrated(&[TABLES]).await {
        let other = db.reopen().await;
        let names = vec!["a".to_owned(), "b".to_owned()];
        let mut seen = Vec::new();
        let spawned = tokio::spawn(async move {
            transaction!(other, "counter.add", async |tx| -> Result<(), StoreError> {
                seen.clear();
                for name in &names {
                    add(tx, name, 1).await?;
                    seen.push(name.clone());
                }
                Ok(())
            })
            .map(|()| seen)
        });
        assert_eq!(spawned.await.unwrap().unwrap(), ["a", "b"]);
    }
}

/// Two transactions lock the same two rows in opposite order; PostgreSQL ends one of them.
async fn deadlock(db: &TestDatabase) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let barrier = Arc::new(Barrier::new(2));
    let mut tasks = Vec::new();
    for order in [["a", "b"], ["b", "a"]] {
        let (db, runs, barrier) = (db.reopen().await, Arc::clone(&runs), Arc::clone(&barrier));
        tasks.push(tokio::spawn(async move {
            let mut first = true;
            transaction!(db, "counter.add", async |tx| -> Result<(), Wrapped> {
                runs.fetch_add(1, Ordering::SeqCst);
                add(tx, order[0], 1).await?;
                if std::mem::take(&mut first) {
                    barrier.wait().await;
                }
                add(tx, order[1], 1).await?;
                Ok(())
            })
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    runs.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_deadlock_is_retried_until_both_are_through() {
    let db = testing::postgres().await;
    db.migrate(&[TABLES]).await.unwrap();
    assert!(deadlock(&db).await >= 3, "one of the two must have run again");
    assert_eq!((value(&db, "a").await, value(&db, "b").await), (2, 2));
}

#[tokio::test]
async fn a_serialisation_failure_is_retried() {
    let db = testing::postgres().await;
    db.migrate(&[TABLES]).await.unwrap();
    let other = db.reopen().await;
    let mut runs = 0;
    transaction!(db, "counter.add", async |tx| -> Result<(), LeaseError> {
        runs += 1;
        on_tx!(tx, c => sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").execute(c).await.map(drop))
            .map_err(StoreError::from)?;
        let _: i64 = on_tx!(tx, c => sqlx::query_scalar("SELECT value FROM counter WHERE name = 'a'").fetch_one(c).await)
            .map_err(StoreError::from)?;
        if runs == 1 {
            transaction!(other, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 10).await })?;
        }
        Ok(add(tx, "a", 1).await?)
    })
    .unwrap();
    assert_eq!((value(&db, "a").await, runs), (11, 2));
}

#[tokio::test]
async fn what_never_gets_through_comes_back_named_as_trouble_that_is_not_the_works_fault() {
    let db = testing::postgres().await;
    db.migrate(&[TABLES]).await.unwrap();
    let mut runs = 0;
    let error = transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> {
        runs += 1;
        on_tx!(tx, c => sqlx::query("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$").execute(c).await.map(drop))?;
        Ok(())
    })
    .unwrap_err();
    assert!(error.is_retryable() && error.is_infrastructure(), "{error:?}");
    assert_eq!(runs, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_lose_nothing() {
    for db in testing::migrated(&[TABLES]).await {
        // As two processes have: two sets of connections, on SQLite two writers at one file.
        let databases = [db.reopen().await, db.reopen().await];
        let mut tasks = Vec::new();
        for number in 0..8 {
            let db = databases[number % 2].clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..50 {
                    transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> {
                        // Reads first: without BEGIN IMMEDIATE two SQLite writers would end each other here.
                        let sql = homeward_store::for_update!(tx, "SELECT value FROM counter WHERE name = 'a'");
                        let now: i64 = on_tx!(tx, c => sqlx::query_scalar(sql).fetch_one(c).await)?;
                        on_tx!(tx, c => sqlx::query("UPDATE counter SET value = $1 WHERE name = 'a'").bind(now + 1).execute(c).await.map(drop))?;
                        Ok(())
                    })?;
                }
                Ok::<_, StoreError>(())
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(value(&db, "a").await, 400, "{}", db.system());
    }
}

#[tokio::test]
async fn a_busy_sqlite_file_is_waited_for() {
    let db = testing::sqlite().await;
    db.migrate(&[TABLES]).await.unwrap();
    let other = db.reopen().await;
    let mut holding = other.begin().await.unwrap();
    add(&mut holding, "a", 1).await.unwrap();
    let waiting = {
        let db = db.reopen().await;
        tokio::spawn(
            async move { transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 1).await }) },
        )
    };
    // Readers are not kept waiting by a writer, and see what was committed.
    assert_eq!(value(&db, "a").await, 0);
    holding.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(value(&db, "a").await, 2);
}

#[tokio::test]
async fn a_lost_connection_is_infrastructure_and_the_next_transaction_works() {
    let db = testing::postgres().await;
    db.migrate(&[TABLES]).await.unwrap();
    let other = db.reopen().await;
    let error = transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> {
        let pid: i32 = on_tx!(tx, c => sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(c).await)?;
        on!(other, pool => sqlx::query("SELECT pg_terminate_backend($1, 5000)").bind(pid).execute(pool).await.map(drop))?;
        add(tx, "a", 1).await
    })
    .unwrap_err();
    assert!(error.is_infrastructure() && !error.is_retryable(), "{error:?}");
    transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 1).await }).unwrap();
    assert_eq!(value(&db, "a").await, 1);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_infrastructure() {
    for db in testing::migrated(&[TABLES]).await {
        let options = Options { postgres_connections: 1, acquire_timeout: Duration::from_millis(100), ..Options::default() };
        let narrow = Database::open(db.address(), &options).await.unwrap();
        let held = narrow.begin().await.unwrap();
        let error =
            transaction!(narrow, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 1).await }).unwrap_err();
        assert!(error.is_infrastructure() && !error.is_retryable(), "{}: {error:?}", db.system());
        assert_eq!(error.to_string(), "transaction counter.add: begin failed");
        drop(held);
    }
}

#[tokio::test]
async fn a_run_that_never_ends_is_given_up_and_undone() {
    for db in testing::migrated(&[TABLES]).await {
        let options = Options { transaction_limit: Duration::from_millis(200), ..Options::default() };
        let impatient = Database::open(db.address(), &options).await.unwrap();
        let error = transaction!(impatient, "counter.add", async |tx| -> Result<(), StoreError> {
            add(tx, "a", 1).await?;
            std::future::pending().await
        })
        .unwrap_err();
        assert!(error.is_infrastructure() && !error.is_retryable(), "{}: {error:?}", db.system());
        transaction!(impatient, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 1).await }).unwrap();
        assert_eq!(value(&db, "a").await, 1, "{}", db.system());
    }
}

#[tokio::test]
async fn a_transaction_is_a_span_with_its_name() {
    let db = testing::sqlite().await;
    db.migrate(&[TABLES]).await.unwrap();
    let names = Arc::new(Mutex::new(Vec::new()));
    // While tracing knows of one subscriber only, a call site that another test's thread meets first is switched off for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _guard = tracing::subscriber::set_default(Names(Arc::clone(&names)));
    transaction!(db, "counter.add", async |tx| -> Result<(), StoreError> { add(tx, "a", 1).await }).unwrap();
    let names = names.lock().unwrap();
    assert!(names.contains(&"db.counter.add".to_owned()), "{names:?}");
}

/// Writes down `otel.name` of every new span.
struct Names(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Names {
    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "otel.name" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }
}

impl tracing::Subscriber for Names {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Self(Arc::clone(&self.0)));
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
