//! The table `timeline`.

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, row};
use homeward_types::Timestamp;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Entry;

/// Rows in one statement; 5 values each.
const ROWS: usize = 1_000;

/// An entry to write.
#[derive(Debug)]
pub struct New {
    /// Which case.
    pub recovery: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub entry: Entry,
}

/// An entry as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Stored {
    /// Grows within a recovery.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// Stable, for programs.
    pub kind: String,
    /// For people.
    pub sentence: String,
    /// The person who acted; empty when Homeward did.
    pub actor: String,
}

/// Adds entries, in this order.
pub async fn add(tx: &mut Tx, rows: &[New]) -> Result<(), StoreError> {
    for chunk in rows.chunks(ROWS) {
        on_tx!(tx, c : D => {
            let mut query = QueryBuilder::<D>::new("INSERT INTO timeline (recovery, at, kind, sentence, actor) ");
            query.push_rows(chunk.iter().map(|new| {
                let actor = new.entry.actor.as_ref().map_or("", |actor| actor.as_str());
                row![new.recovery, new.at, new.entry.kind, &new.entry.sentence, actor]
            }));
            query.build().execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// The entries of a case after `number`, oldest first, at most `most`.
pub async fn after(db: &Database, recovery: Uuid, number: i64, most: i64) -> Result<Vec<Stored>, StoreError> {
    let sql =
        "SELECT number, at, kind, sentence, actor FROM timeline WHERE recovery = $1 AND number > $2 ORDER BY number LIMIT $3";
    Ok(on!(db, pool => sqlx::query_as(sql).bind(recovery).bind(number).bind(most).fetch_all(pool).await)?)
}
