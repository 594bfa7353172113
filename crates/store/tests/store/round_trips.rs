//! Each type comes back as it went in, and sorts and compares alike on both engines.

use chrono::{DateTime, TimeDelta, Utc};
use homeward_store::{Database, StoreError, Tx, dialect, on, on_tx, testing, transaction};
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

use crate::TABLES;

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum State {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Thing {
    id: Uuid,
    at: DateTime<Utc>,
    state: State,
    data: Json<serde_json::Value>,
    bytes: Option<Vec<u8>>,
    amount: i64,
    flag: bool,
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn thing(number: u128, at: DateTime<Utc>, data: serde_json::Value) -> Thing {
    Thing {
        id: Uuid::from_u128(number),
        at,
        state: if number.is_multiple_of(2) { State::Open } else { State::Closed },
        data: Json(data),
        bytes: (!number.is_multiple_of(3)).then(|| vec![0, 255, u8::try_from(number).unwrap()]),
        amount: i64::MAX - i64::try_from(number).unwrap(),
        flag: number % 2 == 1,
    }
}

async fn insert(tx: &mut Tx, things: &[Thing]) -> Result<u64, StoreError> {
    Ok(on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new("INSERT INTO thing (id, at, state, data, bytes, amount, flag) ");
        insert.push_values(things, |mut row, thing| {
            row.push_bind(thing.id).push_bind(thing.at).push_bind(thing.state).push_bind(&thing.data)
                .push_bind(&thing.bytes).push_bind(thing.amount).push_bind(thing.flag);
        });
        insert.build().execute(c).await.map(|done| done.rows_affected())
    })?)
}

async fn insert_all(db: &Database, things: &[Thing]) {
    let done = transaction!(db, "thing.insert", async |tx| -> Result<u64, StoreError> { insert(tx, things).await });
    assert_eq!(done.unwrap(), things.len() as u64);
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    let data = [
        serde_json::json!({"a": [1, 2.5, null, true], "ü": "\u{1f600} \" \\ '", "n": {"deep": i64::MAX}}),
        serde_json::json!(5),
        serde_json::json!(1.5),
        serde_json::json!("text"),
        serde_json::json!(null),
        serde_json::json!([]),
    ];
    let things: Vec<_> = data
        .into_iter()
        .zip(0..)
        .map(|(data, n)| thing(n, at(1_790_000_000_000_000 + i64::try_from(n).unwrap()), data))
        .collect();
    for db in testing::migrated(&[TABLES]).await {
        insert_all(&db, &things).await;
        let found: Vec<Thing> = on!(db, pool => sqlx::query_as("SELECT * FROM thing ORDER BY id").fetch_all(pool).await).unwrap();
        assert_eq!(found, things, "{}", db.system());
        let found: Thing = on!(db, pool => sqlx::query_as("SELECT * FROM thing WHERE id = $1 AND state = $2 AND flag = $3")
            .bind(things[3].id).bind(State::Closed).bind(true).fetch_one(pool).await)
        .unwrap();
        assert_eq!(found, things[3], "{}", db.system());
    }
}

#[tokio::test]
async fn times_sort_and_compare_to_the_microsecond() {
    // Whole seconds, fractions of every length, a year boundary: as text these sort wrongly unless written with care.
    let second = 1_798_761_599_000_000;
    let offsets = [0, 1, 5_000, 10, 100_000, 999_999, 1_000_000, 1_000_001, 500_000, -1, 120_000];
    let things: Vec<_> =
        offsets.iter().zip(0..).map(|(offset, n)| thing(n, at(second + offset), serde_json::json!({}))).collect();
    let mut sorted: Vec<_> = things.iter().map(|thing| thing.at).collect();
    sorted.sort_unstable();
    for db in testing::migrated(&[TABLES]).await {
        insert_all(&db, &things).await;
        let found: Vec<DateTime<Utc>> =
            on!(db, pool => sqlx::query_scalar("SELECT at FROM thing ORDER BY at").fetch_all(pool).await).unwrap();
        assert_eq!(found, sorted, "{}", db.system());
        for limit in &sorted {
            let due: i64 = on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM thing WHERE at <= $1").bind(limit).fetch_one(pool).await).unwrap();
            assert_eq!(
                due,
                i64::try_from(sorted.iter().filter(|at| *at <= limit).count()).unwrap(),
                "{} at {limit}",
                db.system()
            );
        }
        let later = sorted[10] + TimeDelta::microseconds(1);
        let due: i64 =
            on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM thing WHERE at < $1").bind(later).fetch_one(pool).await)
                .unwrap();
        assert_eq!(due, 11, "{}", db.system());
    }
}

#[tokio::test]
async fn an_upsert_returns_what_it_wrote_and_a_second_insert_is_a_unique_violation() {
    for db in testing::migrated(&[TABLES]).await {
        let value = transaction!(db, "counter.add", async |tx| -> Result<i64, StoreError> {
            Ok(on_tx!(tx, c => sqlx::query_scalar(
                "INSERT INTO counter (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING value")
                .bind("a").bind(7_i64).fetch_one(c).await)?)
        });
        assert_eq!(value.unwrap(), 7);
        let again = transaction!(db, "counter.insert", async |tx| -> Result<(), StoreError> {
            on_tx!(tx, c => sqlx::query("INSERT INTO counter (name, value) VALUES ('a', 1)").execute(c).await.map(drop))?;
            Ok(())
        });
        let error = again.unwrap_err();
        assert!(error.is_unique_violation() && !error.is_retryable() && !error.is_infrastructure(), "{}: {error:?}", db.system());
        let broken = transaction!(db, "thing.insert", async |tx| -> Result<(), StoreError> {
            on_tx!(tx, c => sqlx::query("INSERT INTO counter (name, value) VALUES ('c', NULL)").execute(c).await.map(drop))?;
            Ok(())
        });
        let error = broken.unwrap_err();
        assert!(!error.is_unique_violation() && !error.is_infrastructure(), "{}: {error:?}", db.system());
    }
}

#[tokio::test]
async fn a_dialect_text_and_a_skipping_lock_run_on_both() {
    for db in testing::migrated(&[TABLES]).await {
        let engine: String = on!(db, pool => sqlx::query_scalar(dialect!(db, pg: "SELECT 'postgresql'", lite: "SELECT 'sqlite'")).fetch_one(pool).await).unwrap();
        assert_eq!(engine, db.system());
        let held = transaction!(db, "counter.claim", async |tx| -> Result<Vec<String>, StoreError> {
            let sql = homeward_store::for_update_skip_locked!(tx, "SELECT name FROM counter ORDER BY name LIMIT 1");
            Ok(on_tx!(tx, c => sqlx::query_scalar(sql).fetch_all(c).await)?)
        });
        assert_eq!(held.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn reading_connections_of_sqlite_refuse_to_write() {
    let db = testing::sqlite().await;
    db.migrate(&[TABLES]).await.unwrap();
    let refused = on!(db, pool => sqlx::query("UPDATE counter SET value = 1").execute(pool).await.map(drop));
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn sqlite_writes_through_to_the_disk() {
    let db = testing::sqlite().await;
    let mut tx = db.begin().await.unwrap();
    let mode: String = on_tx!(tx, c => sqlx::query_scalar("PRAGMA journal_mode").fetch_one(c).await).unwrap();
    let synchronous: i64 = on_tx!(tx, c => sqlx::query_scalar("PRAGMA synchronous").fetch_one(c).await).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_with_the_reason_and_without_the_password() {
    for (address, reason) in [
        ("mysql://u:secret@h/d", "expected postgres://"),
        ("sqlite::memory:", "would forget leases"),
        ("sqlite://", "expected a file"),
        ("postgres://u:secret@127.0.0.1/d?schema=a;b", "schema"),
        ("postgres://u:secret@127.0.0.1/d?schema=", "schema"),
    ] {
        let error = Database::open(address, &homeward_store::Options::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Address { .. }) && text.contains(reason) && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_trouble_of_the_infrastructure() {
    let options =
        homeward_store::Options { acquire_timeout: std::time::Duration::from_millis(300), ..homeward_store::Options::default() };
    for address in ["postgres://u:secret@127.0.0.1:1/d", "sqlite:///nonexistent/folder/x.db"] {
        let error = Database::open(address, &options).await.unwrap_err();
        assert!(error.is_infrastructure() && !error.is_retryable() && !error.to_string().contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn the_test_server_of_postgresql_warns_that_it_forgets() {
    let warnings = testing::postgres().await.durability_warnings().await.unwrap();
    let durable = std::env::var("HOMEWARD_DURABLE").is_ok();
    assert_eq!(warnings.is_empty(), durable, "{warnings:?}");
    assert!(testing::sqlite().await.durability_warnings().await.unwrap().is_empty());
}
