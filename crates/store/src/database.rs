//! Opening a database by its address, with the durability that the procedure's guarantees rest on.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, SqlitePool};
use url::Url;

use crate::error::StoreError;
use crate::way::Way;

/// How long a statement may wait for SQLite's one writer in another process.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of the log after which the writer carries them over to the file: 16 MiB. Under load most pages are then
/// overwritten several times in the log before they are written to the file once.
const SQLITE_LOG_PAGES: &str = "4000";

/// The log is cut back to this size in bytes (64 MiB) after a burst.
const SQLITE_LOG_LIMIT: &str = "67108864";

/// What the writer may keep in memory, in KiB (the sign says so): a batch's pages should not spill. Taken only as needed.
const SQLITE_WRITER_CACHE: &str = "-8192";

/// A session that holds row locks for longer was paused or lost; PostgreSQL ends it, and its work starts again elsewhere.
const POSTGRES_IDLE_IN_TRANSACTION: &str = "30s";

/// A statement of ours that runs longer waits for a lock that nobody gives back.
const POSTGRES_STATEMENT_TIMEOUT: &str = "30s";

/// A service's own tables. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub enum Database {
    /// A schema in a PostgreSQL database.
    Postgres(Postgres),
    /// An SQLite file.
    Sqlite(Sqlite),
}

/// PostgreSQL: one pool for reading and writing.
#[derive(Debug, Clone)]
pub struct Postgres {
    pub(crate) pool: PgPool,
    pub(crate) schema: Option<String>,
    pub(crate) limit: Duration,
    /// What the pool's connections go through, where they go over TCP.
    _way: Option<Arc<Way>>,
}

/// SQLite: one writer, several readers.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) limit: Duration,
}

/// Where the `on!` macro reads.
#[derive(Debug, Clone, Copy)]
pub enum Reader<'a> {
    /// PostgreSQL's pool.
    Postgres(&'a PgPool),
    /// SQLite's pool of connections that refuse to write.
    Sqlite(&'a SqlitePool),
}

/// Sizes and waits. [`Options::default`] is right for one service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most connections to PostgreSQL. Default 8.
    pub postgres_connections: u32,
    /// Most reading connections to an SQLite file, besides its one writer. Default 4.
    pub sqlite_readers: u32,
    /// How long to wait for a connection of the pool before the database counts as unwell. Default 10 s.
    pub acquire_timeout: Duration,
    /// How long one run of a [`transaction!`](crate::transaction!) may take before its database counts as lost. More than
    /// PostgreSQL's own limit for a statement (30 s). Default 60 s.
    pub transaction_limit: Duration,
    /// What PostgreSQL's operator sees in `pg_stat_activity`. Default `homeward`.
    pub application_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            postgres_connections: 8,
            sqlite_readers: 4,
            acquire_timeout: Duration::from_secs(10),
            transaction_limit: Duration::from_mins(1),
            application_name: "homeward".to_owned(),
        }
    }
}

impl Database {
    /// Opens `postgres://user:password@host/database?schema=policy` or `sqlite:///path/to/policy.db` (created if missing).
    ///
    /// # Errors
    /// [`StoreError::Address`] if the address is of another form, [`StoreError::Open`] if the database does not answer.
    pub async fn open(address: &str, options: &Options) -> Result<Self, StoreError> {
        if let Some(path) = address.strip_prefix("sqlite:") {
            return open_sqlite(address, path.strip_prefix("//").unwrap_or(path), options).await;
        }
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return open_postgres(address, options).await;
        }
        Err(StoreError::Address { address: masked(address), reason: "expected postgres://… or sqlite://path".to_owned() })
    }

    /// Whether the engine is PostgreSQL, for `dialect!`.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The engine's name as metrics and spans call it (`db.system.name`).
    pub fn system(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        }
    }

    pub(crate) fn transaction_limit(&self) -> Duration {
        match self {
            Self::Postgres(postgres) => postgres.limit,
            Self::Sqlite(sqlite) => sqlite.limit,
        }
    }

    /// Where to read outside a transaction. Used by `on!`.
    pub fn reader(&self) -> Reader<'_> {
        match self {
            Self::Postgres(postgres) => Reader::Postgres(&postgres.pool),
            Self::Sqlite(sqlite) => Reader::Sqlite(&sqlite.readers),
        }
    }

    /// Asks the database for an answer, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Statement`] if none comes.
    pub async fn ping(&self) -> Result<(), StoreError> {
        crate::on!(self, pool => sqlx::query("SELECT 1").execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Waits for the statements under way and closes every connection. SQLite folds its log into the file.
    pub async fn close(&self) {
        match self {
            Self::Postgres(postgres) => postgres.pool.close().await,
            Self::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                sqlite.writer.close().await;
            }
        }
    }
}

async fn open_postgres(address: &str, options: &Options) -> Result<Database, StoreError> {
    let (connect, schema) = postgres_options(address, options)?;
    let (connect, way) = without_delay(connect);
    let pool = PgPoolOptions::new()
        .max_connections(options.postgres_connections)
        .acquire_timeout(options.acquire_timeout)
        .connect_with(connect)
        .await
        .map_err(|source| StoreError::Open { address: masked(address), source })?;
    Ok(Database::Postgres(Postgres { pool, schema, limit: options.transaction_limit, _way: way }))
}

/// See [`Way`]. Where it cannot be opened the database is reached as sqlx reaches it, and is slower.
fn without_delay(connect: PgConnectOptions) -> (PgConnectOptions, Option<Arc<Way>>) {
    if connect.get_socket().is_some() || connect.get_host().starts_with('/') {
        return (connect, None);
    }
    match Way::open(connect.get_host(), connect.get_port()) {
        Ok(way) => (connect.socket(way.folder()), Some(Arc::new(way))),
        Err(error) => {
            let folder = std::env::temp_dir();
            tracing::warn!(%error, folder = %folder.display(), "large statements will wait for the network: the folder of temporary files takes no socket");
            (connect, None)
        }
    }
}

fn postgres_options(address: &str, options: &Options) -> Result<(PgConnectOptions, Option<String>), StoreError> {
    let refuse = |reason: String| StoreError::Address { address: masked(address), reason };
    let mut url = Url::parse(address).map_err(|e| refuse(e.to_string()))?;
    let (schemas, rest): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == "schema");
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    let schema = schemas.into_iter().next_back().map(|(_, schema)| schema);
    let mut connect = PgConnectOptions::from_str(url.as_str())
        .map_err(|e| refuse(e.to_string()))?
        .application_name(&options.application_name)
        .options([
            ("idle_in_transaction_session_timeout", POSTGRES_IDLE_IN_TRANSACTION),
            ("statement_timeout", POSTGRES_STATEMENT_TIMEOUT),
        ])
        .disable_statement_logging();
    if let Some(schema) = &schema {
        let plain = schema.starts_with(|c: char| c.is_ascii_lowercase())
            && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain || schema.len() > 63 {
            return Err(refuse(format!("schema {schema:?} must be a-z, 0-9 and _, begin with a letter, at most 63 long")));
        }
        connect = connect.options([("search_path", schema)]);
    }
    Ok((connect, schema))
}

async fn open_sqlite(address: &str, path: &str, options: &Options) -> Result<Database, StoreError> {
    if path.is_empty() || path.starts_with(':') {
        let reason = "expected a file, as sqlite:///var/lib/homeward/policy.db; a database in memory would forget leases";
        return Err(StoreError::Address { address: address.to_owned(), reason: reason.to_owned() });
    }
    let opening = |source| StoreError::Open { address: address.to_owned(), source };
    let connect = SqliteConnectOptions::new()
        .filename(Path::new(path))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging();
    // The writer comes first: it makes the file and sets the journal mode that the readers rely on.
    let pool = |size| {
        SqlitePoolOptions::new()
            .max_connections(size)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writing = connect
        .clone()
        .create_if_missing(true)
        .pragma("wal_autocheckpoint", SQLITE_LOG_PAGES)
        .pragma("journal_size_limit", SQLITE_LOG_LIMIT)
        .pragma("cache_size", SQLITE_WRITER_CACHE);
    let writer = pool(1).connect_with(writing).await.map_err(opening)?;
    let readers = pool(options.sqlite_readers).connect_with(connect.pragma("query_only", "ON")).await.map_err(opening)?;
    Ok(Database::Sqlite(Sqlite { writer, readers, limit: options.transaction_limit }))
}

/// The address as errors and logs may show it.
fn masked(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for addresses without a host, which have no password either.
            url.set_password(Some("***")).ok();
            url.into()
        }
        Ok(url) => url.into(),
        Err(_) => "(unreadable)".to_owned(),
    }
}
