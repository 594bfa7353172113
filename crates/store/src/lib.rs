//! One SQL text on two engines: PostgreSQL and SQLite behind one [`Database`].
//!
//! Owns the tables `migration`, `audit_entry`, `audit_personal` and `audit_checkpoint`; every other table belongs
//! to the crate that migrates it.
//!
//! How a store is written:
//!
//! ```no_run
//! # use homeward_store::{Database, StoreError, on, on_tx, one_row, transaction};
//! # async fn example(db: &Database, id: uuid::Uuid) -> Result<(), StoreError> {
//! // Reading: on SQLite from the read pool, which refuses to write.
//! let open: i64 = on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM lease WHERE state <> $1").bind("closed").fetch_one(pool).await)?;
//!
//! // Writing: always in a named transaction. The block may run more than once.
//! transaction!(db, "lease.close", async |tx| -> Result<(), StoreError> {
//!     let changed = on_tx!(tx, c => sqlx::query("UPDATE lease SET state = 'closing' WHERE id = $1 AND state = 'active'")
//!         .bind(id).execute(c).await.map(|done| done.rows_affected()))?;
//!     one_row(changed, "active lease")
//! })
//! # }
//! ```
//!
//! What serves both engines: `$1` placeholders, `ON CONFLICT`, `RETURNING`, `QueryBuilder` through the `: D` form,
//! `#[derive(FromRow)]`, `Uuid`, `DateTime<Utc>`, `Json<T>`, `Vec<u8>`, `i64`, `bool`, text enums with a `CHECK`.
//!
//! Many rows go into one statement by [`PushRows`]: `query.push_rows(all.iter().map(|each| row![each.id, each.state]))` and, for
//! keys, `query.push_one_of(ids)`; then `.build().persistent(D::ONE_TEXT)`. See [`rows`] for what each engine makes of it.
//!
//! What does not: `= ANY($1)` (use [`PushRows::push_one_of`]), `WITH x AS (UPDATE …)`, `now()` in SQL (bind the time),
//! `SUM(bigint)` without a `CAST(… AS BIGINT)`, a literal `1` read as `i64`.

pub mod audit;
pub mod database;
pub mod durability;
pub mod error;
mod hex;
mod macros;
pub mod migrate;
pub mod rows;
pub mod testing;
pub mod transaction;
pub mod tx;
mod way;

pub use database::{Database, Options, Reader};
pub use error::{StoreError, is_infrastructure, one_row};
pub use migrate::{Migration, Migrations};
pub use rows::{Engine, PushRows};
pub use sqlx;
pub use tx::{Connection, Tx};
