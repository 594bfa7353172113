//! What can go wrong in a store, and what it means for the caller: try again, wait for the database, or give up.

use std::error::Error;

use sqlx::error::ErrorKind;

/// A failure of the database, or of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the database cannot be used.
    #[error("database address {address}: {reason}")]
    Address {
        /// The address without its password.
        address: String,
        /// What is wrong with it, and what is expected.
        reason: String,
    },
    /// The database did not let us in.
    #[error("opening the database {address}")]
    Open {
        /// The address without its password.
        address: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A transaction could not begin or commit. A commit that failed by a lost connection may have taken effect.
    #[error("transaction {name}: {doing} failed")]
    Transaction {
        /// The transaction's name, as in its span.
        name: &'static str,
        /// `begin`, `running` (it took too long), `commit` or `rollback`.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("a statement failed")]
    Statement(#[from] sqlx::Error),
    /// A statement that must change one row changed another number of them: somebody else was here first.
    #[error("expected to change one {what}, changed {changed}")]
    NotOneRow {
        /// What the row stands for.
        what: &'static str,
        /// How many rows were changed.
        changed: u64,
    },
    /// A stored value does not mean anything to this version of the program.
    #[error("{table}.{column} of row {row} cannot be understood: {reason}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key, as text.
        row: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// The tables could not be brought up to date.
    #[error("migration {set}/{step}: {reason}")]
    Migration {
        /// The set of migrations, usually a service's name.
        set: &'static str,
        /// The file's name without its ending.
        step: String,
        /// What is wrong, and what to do.
        reason: String,
        /// What the driver said, if it was asked.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// A value could not be written as JSON.
    #[error("writing JSON for {what}")]
    Json {
        /// What the value is for.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file beside the database could not be written or read.
    #[error("file {path}: {doing} failed")]
    File {
        /// The file.
        path: String,
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What a failure means for the work at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The database undid the transaction to let others pass: the same work may be done again at once.
    Retryable,
    /// The database, the way to it or its disk is in trouble: no work would go through.
    Infrastructure,
    /// This work is at fault, or something that time does not mend.
    Other,
}

impl StoreError {
    /// Whether the database itself is unwell (connection, pool, disk, or still too busy after our own retries), so that
    /// the work is not to blame: keep it, back off, try again later.
    pub fn is_infrastructure(&self) -> bool {
        matches!(self, Self::File { .. }) || matches!(meaning(self), Meaning::Infrastructure | Meaning::Retryable)
    }

    /// Whether the same transaction may be run again at once (serialisation failure, deadlock, SQLite busy): nothing of it took effect.
    pub fn is_retryable(&self) -> bool {
        meaning(self) == Meaning::Retryable
    }

    /// Whether a row with this key is there already.
    pub fn is_unique_violation(&self) -> bool {
        find(self).and_then(sqlx::Error::as_database_error).is_some_and(|e| matches!(e.kind(), ErrorKind::UniqueViolation))
    }
}

/// Checks that a statement changed the one row that it named.
///
/// # Errors
/// [`StoreError::NotOneRow`] if it changed none, or several.
pub fn one_row(changed: u64, what: &'static str) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::NotOneRow { what, changed }) }
}

/// Whether a database that is unwell lies behind this error, of whatever type: see [`StoreError::is_infrastructure`].
pub fn is_infrastructure(error: &(dyn Error + 'static)) -> bool {
    matches!(meaning(error), Meaning::Infrastructure | Meaning::Retryable)
}

/// Whether the failure of a whole transaction may be answered by running it again, whatever type the error has.
pub(crate) fn may_run_again(error: &(dyn Error + 'static)) -> bool {
    meaning(error) == Meaning::Retryable
}

fn meaning(error: &(dyn Error + 'static)) -> Meaning {
    find(error).map_or(Meaning::Other, meaning_of)
}

/// The driver's error that started it all, if one did.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<sqlx::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn meaning_of(error: &sqlx::Error) -> Meaning {
    if let Some(database) = error.as_database_error() {
        let code = database.code().unwrap_or_default();
        return if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() { sqlite(&code) } else { postgres(&code) };
    }
    let unwell = matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
    );
    if unwell { Meaning::Infrastructure } else { Meaning::Other }
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres(code: &str) -> Meaning {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Meaning::Retryable,
        // read_only_sql_transaction (a failover is under way), query_canceled (statement timeout),
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_in_transaction_session_timeout
        "25006" | "57014" | "57P01" | "57P02" | "57P03" | "25P03" => Meaning::Infrastructure,
        // connection, resources (disk full, too many connections), system error, internal error
        _ if ["08", "53", "58", "XX"].iter().any(|class| code.starts_with(class)) => Meaning::Infrastructure,
        _ => Meaning::Other,
    }
}

/// By SQLite's result code; an extended one holds the primary one in its low byte: <https://sqlite.org/rescode.html>.
fn sqlite(code: &str) -> Meaning {
    match code.parse::<i32>().map(|extended| extended & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Ok(5 | 6) => Meaning::Retryable,
        // PERM, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
        Ok(3 | 7..=11 | 13..=15 | 26) => Meaning::Infrastructure,
        _ => Meaning::Other,
    }
}
