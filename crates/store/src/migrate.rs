//! Brings tables up to date: sets of numbered SQL files, one folder for each engine, the same numbers in both.
//!
//! Several sets share a database (a service's own, the outbox, the saga's, the audit log); each counts for itself in the
//! table `migration`. All of them run in one transaction behind one lock, so that any number of processes may start at once
//! and a failure leaves nothing half done. An old binary accepts newer steps that it does not know: expand, migrate, contract.

use ring::digest::{SHA256, digest};
use sqlx::AssertSqlSafe;

use homeward_types::{Clock, SystemClock};

use crate::database::Database;
use crate::error::StoreError;
use crate::hex::hex;
use crate::tx::Tx;
use crate::{on, on_tx, one_row};

/// One of these in the whole database: whoever holds it migrates. The number is arbitrary and ours ("homeward" in ASCII).
const POSTGRES_LOCK: i64 = 0x686f_6d65_7761_7264;

/// The migrations of one owner, in order. Made by [`migrations!`](crate::migrations).
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// Whose tables these are: a service's name, `outbox`, `saga`, `audit`.
    pub set: &'static str,
    /// The steps, by rising number.
    pub steps: &'static [Migration],
}

/// One step: the same change for both engines.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `NNNN_noun`, the file's name without its ending.
    pub name: &'static str,
    /// Its text for PostgreSQL.
    pub postgres: &'static str,
    /// Its text for SQLite.
    pub sqlite: &'static str,
}

/// Includes `migrations/postgres/NAME.sql` and `migrations/sqlite/NAME.sql` of the calling crate:
/// `migrations!("policy", ["0001_lease", "0002_attempt"])`.
#[macro_export]
macro_rules! migrations {
    ($set:literal, [$($name:literal),+ $(,)?]) => {
        $crate::Migrations {
            set: $set,
            steps: &[$($crate::Migration {
                name: $name,
                postgres: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/", $name, ".sql")),
                sqlite: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $name, ".sql")),
            }),+],
        }
    };
}

impl Migration {
    /// The number at the head of its name.
    fn version(&self, set: &'static str) -> Result<i32, StoreError> {
        let number = self.name.split('_').next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| failed(set, self.name, "the name must begin with a number, as 0001_lease", None))
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Applied {
    version: i32,
    checksum: String,
}

impl Database {
    /// Applies what is missing of every set, in the order given. Makes PostgreSQL's schema if the address names one.
    ///
    /// # Errors
    /// [`StoreError::Migration`] names the step: its text differs from what was applied, it comes before one that was
    /// applied already, or the database refused it. Nothing of any set is then applied.
    pub async fn migrate(&self, sets: &[Migrations]) -> Result<(), StoreError> {
        crate::transaction!(self, "migration.apply", async |tx| -> Result<(), StoreError> {
            self.prepare(tx).await?;
            for set in sets {
                apply(tx, set).await?;
            }
            Ok(())
        })
    }

    /// The steps of these sets that were not applied yet, as `set/step`. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Statement`] if the database does not tell.
    pub async fn missing_migrations(&self, sets: &[Migrations]) -> Result<Vec<String>, StoreError> {
        let counted = crate::dialect!(self,
            pg: "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('migration')",
            lite: "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migration'");
        let (tables,): (i64,) = on!(self, pool => sqlx::query_as(counted).fetch_one(pool).await)?;
        let applied: Vec<(String, i32)> = if tables == 0 {
            Vec::new()
        } else {
            on!(self, pool => sqlx::query_as("SELECT set_name, version FROM migration").fetch_all(pool).await)?
        };
        let mut missing = Vec::new();
        for set in sets {
            for step in set.steps {
                let version = step.version(set.set)?;
                if !applied.iter().any(|(name, number)| name == set.set && *number == version) {
                    missing.push(format!("{}/{}", set.set, step.name));
                }
            }
        }
        Ok(missing)
    }

    /// Takes the lock and makes the table that counts.
    async fn prepare(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if let Self::Postgres(postgres) = self {
            on_tx!(tx, c => sqlx::query("SET LOCAL statement_timeout = 0").execute(c).await.map(drop))?;
            on_tx!(tx, c => sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(POSTGRES_LOCK).execute(c).await.map(drop))?;
            if let Some(schema) = &postgres.schema
                && !schema_exists(tx, schema).await?
            {
                // Checked when the address was read: letters, digits and underscores.
                let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
                on_tx!(tx, c => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(drop))?;
            }
        }
        let table = crate::dialect!(tx,
            pg: "CREATE TABLE IF NOT EXISTS migration (set_name TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, \
                 checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (set_name, version))",
            lite: "CREATE TABLE IF NOT EXISTS migration (set_name TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, \
                 checksum TEXT NOT NULL, applied_at TEXT NOT NULL, PRIMARY KEY (set_name, version)) STRICT");
        on_tx!(tx, c => sqlx::query(table).execute(c).await.map(drop))?;
        Ok(())
    }
}

/// Making one takes a right that a service's own role need not have, even where the schema is there already.
async fn schema_exists(tx: &mut Tx, schema: &str) -> Result<bool, StoreError> {
    let found: Option<(i32,)> = on_tx!(tx, c => sqlx::query_as("SELECT 1 FROM pg_namespace WHERE nspname = $1")
        .bind(schema).fetch_optional(c).await)?;
    Ok(found.is_some())
}

async fn apply(tx: &mut Tx, set: &Migrations) -> Result<(), StoreError> {
    let applied: Vec<Applied> = on_tx!(tx, c => sqlx::query_as("SELECT version, checksum FROM migration WHERE set_name = $1 ORDER BY version")
        .bind(set.set).fetch_all(c).await)?;
    let newest = applied.last().map_or(0, |a| a.version);
    for step in set.steps {
        let version = step.version(set.set)?;
        let sql = crate::dialect!(tx, pg: step.postgres, lite: step.sqlite);
        let checksum = checksum(sql);
        match applied.iter().find(|a| a.version == version) {
            Some(before) if before.checksum == checksum => {}
            Some(_) => {
                return Err(failed(
                    set.set,
                    step.name,
                    "its text differs from what was applied; an applied step never changes, add a new one",
                    None,
                ));
            }
            None if version < newest => {
                return Err(failed(set.set, step.name, "a later step was applied already; give this one the next number", None));
            }
            None => run(tx, set.set, step, version, sql, &checksum).await?,
        }
    }
    let known = set.steps.len();
    if applied.len() > known {
        tracing::warn!(set = set.set, known, applied = applied.len(), "the tables were migrated by a newer version of homeward");
    }
    Ok(())
}

async fn run(
    tx: &mut Tx,
    set: &'static str,
    step: &Migration,
    version: i32,
    sql: &'static str,
    checksum: &str,
) -> Result<(), StoreError> {
    on_tx!(tx, c => sqlx::raw_sql(sql).execute(c).await.map(drop))
        .map_err(|source| failed(set, step.name, "the database refused it", Some(source)))?;
    let now = SystemClock.now();
    let counted = on_tx!(tx, c => sqlx::query("INSERT INTO migration (set_name, version, name, checksum, applied_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(set).bind(version).bind(step.name).bind(checksum).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    tracing::info!(set, step = step.name, "migrated");
    one_row(counted, "migration")
}

fn checksum(sql: &str) -> String {
    hex(digest(&SHA256, sql.as_bytes()).as_ref())
}

fn failed(set: &'static str, step: &str, reason: &str, source: Option<sqlx::Error>) -> StoreError {
    StoreError::Migration { set, step: step.to_owned(), reason: reason.to_owned(), source }
}
