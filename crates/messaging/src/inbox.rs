//! The table `heard_sender`: the highest outbox number heard of each sender.
//!
//! A sender whose own last number ([`Outbox::last_number`](crate::Outbox::last_number)) is lower than what its neighbours
//! heard of it was restored from a backup. There is no table of message ids: repeats are dropped by natural keys.

use std::collections::BTreeMap;

use homeward_store::{Database, PushRows, StoreError, Tx, on, on_tx, row};
use sqlx::QueryBuilder;

use crate::consume::Received;

/// Notes the senders' numbers of a batch, in the transaction of its effects.
///
/// # Errors
/// [`StoreError`] if the database refuses.
pub async fn hear(tx: &mut Tx, batch: &[Received]) -> Result<(), StoreError> {
    // Sorted, so that two transactions lock the rows in the same order.
    let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
    for received in batch {
        let number = highest.entry(&received.envelope.sender).or_insert(i64::MIN);
        *number = (*number).max(received.envelope.sender_number);
    }
    if highest.is_empty() {
        return Ok(());
    }
    on_tx!(tx, c : D => {
        let mut query = QueryBuilder::<D>::new("INSERT INTO heard_sender (sender, number) ");
        query.push_rows(highest.iter().map(|(sender, number)| row![*sender, *number]));
        query.push(" ON CONFLICT (sender) DO UPDATE SET number = excluded.number WHERE heard_sender.number < excluded.number");
        query.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The highest number heard of each sender, sorted by sender, possibly empty.
///
/// # Errors
/// [`StoreError`] if the database cannot be read.
pub async fn heard(db: &Database) -> Result<BTreeMap<String, i64>, StoreError> {
    let rows: Vec<(String, i64)> =
        on!(db, pool => sqlx::query_as("SELECT sender, number FROM heard_sender").fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}
