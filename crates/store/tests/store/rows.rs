//! Many rows in one statement mean the same on both engines, for every type and for nothing.

use chrono::{DateTime, Utc};
use homeward_store::{Database, Engine, PushRows, StoreError, Tx, dialect, on, on_tx, row, testing, transaction};
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

use crate::TABLES;

/// A row of `thing`, with what the services bind: borrowed and owned, there or not.
type Thing = (Uuid, DateTime<Utc>, String, Json<serde_json::Value>, Option<Vec<u8>>, i64, bool);

fn thing(number: u128) -> Thing {
    let data = [
        serde_json::json!({"n": number.to_string(), "quoted": "\", {}, NULL"}),
        serde_json::json!(null),
        serde_json::json!("NULL"),
    ];
    let at = DateTime::from_timestamp_micros(1_790_000_000_000_000 + i64::try_from(number).unwrap()).unwrap();
    let bytes = [None, Some(Vec::new()), Some(b"\0{},\"\\".to_vec())];
    let at_hand = usize::try_from(number % 3).unwrap();
    let state = if number.is_multiple_of(2) { "open" } else { "closed" };
    let amount = i64::try_from(number).unwrap() - 1;
    (Uuid::from_u128(number), at, state.to_owned(), Json(data[at_hand].clone()), bytes[at_hand].clone(), amount, number % 2 == 1)
}

async fn insert(tx: &mut Tx, things: &[Thing]) -> Result<(), StoreError> {
    on_tx!(tx, c : D => {
        let mut insert = QueryBuilder::<D>::new("INSERT INTO thing (id, at, state, data, bytes, amount, flag) ");
        insert.push_rows(things.iter().map(|(id, at, state, data, bytes, amount, flag)| {
            row![*id, *at, state.as_str(); row![data, bytes.as_deref(), *amount, *flag]]
        }));
        insert.build().persistent(D::ONE_TEXT).execute(c).await.map(drop)
    })?;
    Ok(())
}

async fn insert_all(db: &Database, things: &[Thing]) {
    transaction!(db, "thing.insert", async |tx| -> Result<(), StoreError> { insert(tx, things).await }).unwrap();
}

async fn all(db: &Database) -> Vec<Thing> {
    on!(db, pool => sqlx::query_as("SELECT id, at, state, data, bytes, amount, flag FROM thing ORDER BY id").fetch_all(pool).await)
        .unwrap()
}

#[tokio::test]
async fn rows_come_back_as_they_went_in() {
    let things: Vec<Thing> = (1..=300).map(thing).collect();
    for db in testing::migrated(&[TABLES]).await {
        insert_all(&db, &things[..1]).await;
        insert_all(&db, &things[1..]).await;
        assert_eq!(all(&db).await, things, "{}", db.system());
    }
}

#[tokio::test]
async fn an_update_from_rows_reaches_each_row_and_no_other() {
    for db in testing::migrated(&[TABLES]).await {
        let mut things: Vec<Thing> = (1..=5).map(thing).collect();
        insert_all(&db, &things).await;
        let news: [(Uuid, &str, Option<&[u8]>); 3] =
            [(things[1].0, "closed", Some(&[7])), (things[4].0, "open", None), (Uuid::from_u128(99), "open", Some(&[1]))];
        let changed = transaction!(db, "thing.update", async |tx| -> Result<u64, StoreError> {
            Ok(on_tx!(tx, c : D => {
                let mut update = QueryBuilder::<D>::new("UPDATE thing SET state = v.column2, bytes = COALESCE(v.column3, bytes) FROM (");
                update.push_rows(news.iter().map(|(id, state, bytes)| row![*id, *state, *bytes]));
                update.push(") AS v WHERE thing.id = v.column1");
                update.build().persistent(D::ONE_TEXT).execute(c).await.map(|done| done.rows_affected())
            })?)
        });
        assert_eq!(changed.unwrap(), 2, "{}", db.system());
        (things[1].2, things[1].4) = ("closed".to_owned(), Some(vec![7]));
        things[4].2 = "open".to_owned();
        assert_eq!(all(&db).await, things, "{}", db.system());
    }
}

#[tokio::test]
async fn rows_and_keys_select_what_they_name() {
    for db in testing::migrated(&[TABLES]).await {
        let things: Vec<Thing> = (1..=6).map(thing).collect();
        insert_all(&db, &things).await;
        let pairs: Vec<i64> = on!(db, pool : D => {
            let mut select = QueryBuilder::<D>::new("SELECT amount FROM thing WHERE (id, state) IN (");
            select.push_rows([row![things[0].0, "closed"], row![things[1].0, "closed"], row![things[3].0, "open"]]);
            select.push(") ORDER BY amount");
            select.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(pool).await
        })
        .unwrap();
        assert_eq!(pairs, [0, 3], "{}", db.system());
        let keys: Vec<i64> = on!(db, pool : D => {
            let mut select = QueryBuilder::<D>::new("SELECT amount FROM thing WHERE flag AND id ");
            select.push_one_of(things[1..5].iter().map(|thing| thing.0)).push(" ORDER BY amount");
            select.build_query_scalar().persistent(D::ONE_TEXT).fetch_all(pool).await
        })
        .unwrap();
        assert_eq!(keys, [2, 4], "{}", db.system());
    }
}

/// What this is for: PostgreSQL parses and plans one statement, however many rows each batch has.
#[tokio::test]
async fn batches_of_any_size_are_one_prepared_statement() {
    for db in testing::migrated(&[TABLES]).await {
        let prepared = transaction!(db, "thing.insert", async |tx| -> Result<i64, StoreError> {
            for (from, to) in [(1, 2), (2, 5), (5, 40), (40, 41)] {
                insert(tx, &(from..to).map(thing).collect::<Vec<_>>()).await?;
            }
            let sql = dialect!(tx,
                pg: "SELECT COUNT(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO thing%'",
                lite: "SELECT 1");
            Ok(on_tx!(tx, c => sqlx::query_scalar(sql).fetch_one(c).await)?)
        });
        assert_eq!(prepared.unwrap(), 1, "{}", db.system());
        assert_eq!(all(&db).await.len(), 40, "{}", db.system());
    }
}
