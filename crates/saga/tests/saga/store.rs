//! Copies of the one book that everybody wants: the demo service's own rows, changed in the sagas' transaction.

use std::collections::HashSet;

use homeward_store::{Migration, Migrations, StoreError, Tx, for_update, on_tx};
use sqlx::QueryBuilder;
use uuid::Uuid;

pub const MIGRATIONS: Migrations = Migrations {
    set: "library",
    steps: &[Migration {
        name: "0001_copy",
        postgres: "CREATE TABLE shelf (copies BIGINT NOT NULL); INSERT INTO shelf VALUES (3); \
                   CREATE TABLE copy (loan UUID PRIMARY KEY, turn BIGINT GENERATED ALWAYS AS IDENTITY, kept BOOLEAN NOT NULL)",
        sqlite: "CREATE TABLE shelf (copies INTEGER NOT NULL) STRICT; INSERT INTO shelf VALUES (3); \
                 CREATE TABLE copy (turn INTEGER PRIMARY KEY AUTOINCREMENT, loan BLOB NOT NULL UNIQUE, kept INTEGER NOT NULL) STRICT",
    }],
};

/// Puts loans in the line, lets go of others' copies, and says who has a copy now: new ones and those that ask again.
pub async fn turn_over(tx: &mut Tx, asks: &[Uuid], releases: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let lock = for_update!(tx, "SELECT copies FROM shelf");
    let copies: i64 = on_tx!(tx, c => sqlx::query_scalar(lock).fetch_one(c).await)?;
    if !asks.is_empty() {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO copy (loan, kept) ");
            query.push_values(asks, |mut row, loan| { row.push_bind(*loan).push_bind(false); });
            query.push(" ON CONFLICT (loan) DO NOTHING").build().execute(c).await.map(drop)
        })?;
    }
    if !releases.is_empty() {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("DELETE FROM copy WHERE loan IN (");
            let mut list = query.separated(", ");
            for loan in releases {
                list.push_bind(*loan);
            }
            query.push(")").build().execute(c).await.map(drop)
        })?;
    }
    let kept: Vec<Uuid> = on_tx!(tx, c => sqlx::query_scalar("SELECT loan FROM copy WHERE kept").fetch_all(c).await)?;
    let room = copies - i64::try_from(kept.len()).unwrap();
    let next: Vec<Uuid> = on_tx!(tx, c => sqlx::query_scalar("SELECT loan FROM copy WHERE NOT kept ORDER BY turn LIMIT $1").bind(room.max(0)).fetch_all(c).await)?;
    for loan in &next {
        on_tx!(tx, c => sqlx::query("UPDATE copy SET kept = TRUE WHERE loan = $1").bind(*loan).execute(c).await.map(drop))?;
    }
    let asked: HashSet<&Uuid> = asks.iter().collect();
    Ok(next.iter().chain(kept.iter().filter(|loan| asked.contains(loan))).copied().collect())
}

/// How many copies are kept or waited for.
pub async fn copies(db: &homeward_store::Database) -> i64 {
    homeward_store::on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM copy").fetch_one(pool).await).unwrap()
}

/// How many rows of sagas there are.
pub async fn sagas(db: &homeward_store::Database) -> i64 {
    homeward_store::on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM saga").fetch_one(pool).await).unwrap()
}

/// Sagas that are due, whoever's they are.
pub async fn due(db: &homeward_store::Database, by: homeward_types::Timestamp) -> i64 {
    homeward_store::on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM saga WHERE due_at <= $1").bind(by).fetch_one(pool).await).unwrap()
}

/// Makes a saga's row what another version of the program, or an accident, would have made it.
pub async fn tamper(db: &homeward_store::Database, id: Uuid, version: i64, data: serde_json::Value) {
    let tampered = homeward_store::transaction!(db, "saga.tamper", async |tx| -> Result<u64, StoreError> {
        Ok(on_tx!(tx, c => sqlx::query("UPDATE saga SET version = $1, data = $2 WHERE id = $3")
            .bind(version).bind(sqlx::types::Json(&data)).bind(id).execute(c).await.map(|done| done.rows_affected()))?)
    });
    assert_eq!(tampered.unwrap(), 1);
}

/// Keeps a saga's row, as another coordinator does that has it in hand.
pub async fn hold(tx: &mut Tx, id: Uuid) {
    let lock = for_update!(tx, "SELECT id FROM saga WHERE id = $1");
    let held: Uuid = on_tx!(tx, c => sqlx::query_scalar(lock).bind(id).fetch_one(c).await).unwrap();
    assert_eq!(held, id);
}
