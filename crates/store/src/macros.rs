//! The forms in which one SQL text meets two engines. Keep a body to a single query chain.

/// Runs a read on whichever engine the database is: `on!(db, pool => query.fetch_all(pool).await)`.
///
/// On SQLite the pool is the read pool, whose connections refuse to write: writing is for [`on_tx!`](crate::on_tx).
/// With `on!(db, pool : D => …)` the name `D` stands for the engine's type, for `QueryBuilder::<D>`.
#[macro_export]
macro_rules! on {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db.reader() {
            $crate::Reader::Postgres($pool) => $body,
            $crate::Reader::Sqlite($pool) => $body,
        }
    };
    ($db:expr, $pool:ident : $D:ident => $body:expr) => {
        match $db.reader() {
            $crate::Reader::Postgres($pool) => {
                type $D = $crate::sqlx::Postgres;
                $body
            }
            $crate::Reader::Sqlite($pool) => {
                type $D = $crate::sqlx::Sqlite;
                $body
            }
        }
    };
}

/// Runs a statement inside a transaction: `on_tx!(tx, c => query.execute(c).await)`.
///
/// `tx` is a `Tx` or a `&mut Tx`; the name before the arrow is the engine's `&mut` connection.
/// With `on_tx!(tx, c : D => …)` the name `D` stands for the engine's type, for `QueryBuilder::<D>`.
/// Types of one engine must not leave the body: end it with `.map(|done| done.rows_affected())`.
#[macro_export]
macro_rules! on_tx {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx.connection() {
            $crate::Connection::Postgres($conn) => $body,
            $crate::Connection::Sqlite($conn) => $body,
        }
    };
    ($tx:expr, $conn:ident : $D:ident => $body:expr) => {
        match $tx.connection() {
            $crate::Connection::Postgres($conn) => {
                type $D = $crate::sqlx::Postgres;
                $body
            }
            $crate::Connection::Sqlite($conn) => {
                type $D = $crate::sqlx::Sqlite;
                $body
            }
        }
    };
}

/// The rare text that differs: `dialect!(tx, pg: "… SKIP LOCKED", lite: "…")`, both literal.
#[macro_export]
macro_rules! dialect {
    ($engine:expr, pg: $postgres:expr, lite: $sqlite:expr $(,)?) => {
        if $engine.is_postgres() { $postgres } else { $sqlite }
    };
}

/// A select that keeps its rows from other writers until the transaction ends: `for_update!(tx, "SELECT … ORDER BY id")`.
///
/// PostgreSQL locks the rows in the order in which they are read, so order by id. SQLite needs nothing: a transaction
/// is the only writer from its beginning.
#[macro_export]
macro_rules! for_update {
    ($engine:expr, $sql:literal) => {
        $crate::dialect!($engine, pg: concat!($sql, " FOR UPDATE"), lite: $sql)
    };
}

/// As [`for_update!`](crate::for_update), but rows that another transaction holds are left out: for claiming work in batches.
#[macro_export]
macro_rules! for_update_skip_locked {
    ($engine:expr, $sql:literal) => {
        $crate::dialect!($engine, pg: concat!($sql, " FOR UPDATE SKIP LOCKED"), lite: $sql)
    };
}

/// A condition on rows that a key finds, and never a way to find them: `concat!("… WHERE id = $1 AND ", only_if!("is_open"))`.
///
/// While PostgreSQL believes that no row fulfils `is_open`, as it does where it last looked at a quiet hour, it takes an index
/// of the open rows for a shorter way than the key, and walks through all of them: thousands, on the morning that matters.
#[macro_export]
macro_rules! only_if {
    ($condition:literal) => {
        concat!("CASE WHEN ", $condition, " THEN TRUE ELSE FALSE END")
    };
}
