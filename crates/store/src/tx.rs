//! One transaction on either engine.

use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use crate::database::Database;
use crate::error::StoreError;

/// An open transaction. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On PostgreSQL, read committed: lock rows in id order before deciding on them.
    Postgres(Transaction<'static, Postgres>),
    /// On SQLite, begun `IMMEDIATE`: the only writer from its first statement.
    Sqlite(Transaction<'static, Sqlite>),
}

/// What the `on_tx!` macro runs on.
#[derive(Debug)]
pub enum Connection<'a> {
    /// PostgreSQL's connection.
    Postgres(&'a mut PgConnection),
    /// SQLite's writer.
    Sqlite(&'a mut SqliteConnection),
}

impl Database {
    /// Begins a transaction. Prefer [`transaction!`](crate::transaction!), which also names it and runs it again when it must give way.
    ///
    /// # Errors
    /// [`StoreError::Transaction`] if no connection is to be had, or the engine refuses.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_named("unnamed").await
    }

    pub(crate) async fn begin_named(&self, name: &'static str) -> Result<Tx, StoreError> {
        let begun = match self {
            Self::Postgres(postgres) => postgres.pool.begin().await.map(Tx::Postgres),
            Self::Sqlite(sqlite) => sqlite.writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
        };
        begun.map_err(|source| StoreError::Transaction { name, doing: "begin", source })
    }
}

impl Tx {
    /// Makes everything done in it last.
    ///
    /// # Errors
    /// [`StoreError::Transaction`]. If [`StoreError::is_infrastructure`] and not [`StoreError::is_retryable`], it may have taken effect all the same.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.commit_named("unnamed").await
    }

    pub(crate) async fn commit_named(self, name: &'static str) -> Result<(), StoreError> {
        let done = match self {
            Self::Postgres(tx) => tx.commit().await,
            Self::Sqlite(tx) => tx.commit().await,
        };
        done.map_err(|source| StoreError::Transaction { name, doing: "commit", source })
    }

    /// Undoes everything done in it.
    ///
    /// # Errors
    /// [`StoreError::Transaction`] if the database cannot be told; it then undoes by itself.
    pub async fn rollback(self) -> Result<(), StoreError> {
        let done = match self {
            Self::Postgres(tx) => tx.rollback().await,
            Self::Sqlite(tx) => tx.rollback().await,
        };
        done.map_err(|source| StoreError::Transaction { name: "unnamed", doing: "rollback", source })
    }

    /// Whether the engine is PostgreSQL, for `dialect!`.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// What to run a statement on. Used by `on_tx!`.
    pub fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Postgres(tx) => Connection::Postgres(tx),
            Self::Sqlite(tx) => Connection::Sqlite(tx),
        }
    }
}
