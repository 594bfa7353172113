//! Fresh databases for tests, one of each engine. Tests never skip an engine: without a server they fail and say how to run.

use std::ops::Deref;
use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::database::{Database, Options};
use crate::migrate::Migrations;
use crate::on;

/// A database of a test's own, gone when dropped. Use it as the [`Database`] that it derefs to.
#[derive(Debug)]
pub struct TestDatabase {
    database: Database,
    address: String,
    remains: Remains,
}

#[derive(Debug)]
enum Remains {
    Folder(PathBuf),
    Postgres { server: String, name: String },
}

impl Deref for TestDatabase {
    type Target = Database;
    fn deref(&self) -> &Database {
        &self.database
    }
}

impl TestDatabase {
    /// Where it is, for opening it a second time (PostgreSQL: add `?schema=…` for another service).
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A second set of connections to the same database, as another process would have.
    pub async fn reopen(&self) -> Database {
        open(&self.address).await
    }
}

/// A fresh database on each engine, with nothing in it.
///
/// # Panics
/// If `HOMEWARD_TEST_POSTGRES` is not set, or a database cannot be made.
pub async fn engines() -> Vec<TestDatabase> {
    vec![sqlite().await, postgres().await]
}

/// A fresh database on each engine, with these tables.
///
/// # Panics
/// As [`engines`], and if the migrations fail.
pub async fn migrated(sets: &[Migrations]) -> Vec<TestDatabase> {
    let databases = engines().await;
    for database in &databases {
        if let Err(error) = database.migrate(sets).await {
            panic!("migrating {}: {error:?}", database.system());
        }
    }
    databases
}

/// A fresh SQLite file.
///
/// # Panics
/// If it cannot be made.
pub async fn sqlite() -> TestDatabase {
    let folder = std::env::temp_dir().join(format!("homeward-test-{}", Uuid::new_v4().simple()));
    if let Err(error) = std::fs::create_dir(&folder) {
        panic!("making {}: {error}", folder.display());
    }
    let address = format!("sqlite://{}", folder.join("test.db").display());
    TestDatabase { database: open(&address).await, address, remains: Remains::Folder(folder) }
}

/// A fresh PostgreSQL database on the test server.
///
/// # Panics
/// If `HOMEWARD_TEST_POSTGRES` is not set, or the database cannot be made.
pub async fn postgres() -> TestDatabase {
    let Ok(server) = std::env::var("HOMEWARD_TEST_POSTGRES") else {
        panic!(
            "HOMEWARD_TEST_POSTGRES is not set: run ./test, which starts a private server, or start one with deploy/local/servers.sh"
        );
    };
    let name = format!("hw_test_{}", Uuid::new_v4().simple());
    if let Err(error) = command(&server, format!("CREATE DATABASE {name}")).await {
        panic!("making a database on the test server: {error}");
    }
    let mut url = match url::Url::parse(&server) {
        Ok(url) => url,
        Err(error) => panic!("HOMEWARD_TEST_POSTGRES: {error}"),
    };
    url.set_path(&name);
    let address = String::from(url);
    TestDatabase { database: open(&address).await, address, remains: Remains::Postgres { server, name } }
}

/// Checks that both engines have the same tables with the same columns after these migrations.
///
/// # Panics
/// If they differ; the message names both sides.
pub async fn schemas_agree(sets: &[Migrations]) {
    let databases = migrated(sets).await;
    let mut columns = Vec::new();
    for database in &databases {
        columns.push((database.system(), columns_of(database).await));
    }
    for pair in columns.windows(2) {
        let [(one, left), (other, right)] = pair else { continue };
        let only = |a: &[String], b: &[String]| a.iter().filter(|c| !b.contains(c)).cloned().collect::<Vec<_>>();
        assert!(left == right, "only in {one}: {:?}; only in {other}: {:?}", only(left, right), only(right, left));
        assert!(left.len() > 5, "no tables but the runner's own: {left:?}");
    }
}

/// `table.column`, sorted.
async fn columns_of(database: &Database) -> Vec<String> {
    let sql = crate::dialect!(database,
        pg: "SELECT table_name::text || '.' || column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() ORDER BY 1",
        lite: "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1");
    let mut columns: Vec<String> = match on!(database, pool => sqlx::query_scalar(sql).fetch_all(pool).await) {
        Ok(columns) => columns,
        Err(error) => panic!("reading the columns of {}: {error}", database.system()),
    };
    columns.sort();
    columns
}

async fn open(address: &str) -> Database {
    match Database::open(address, &Options::default()).await {
        Ok(database) => database,
        Err(error) => panic!("opening {address}: {error:?}"),
    }
}

async fn command(server: &str, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}

impl Drop for TestDatabase {
    /// Best effort: what stays behind goes with the test server's folder.
    fn drop(&mut self) {
        match &self.remains {
            Remains::Folder(folder) => {
                std::fs::remove_dir_all(folder).ok();
            }
            Remains::Postgres { server, name } => drop_database(server.clone(), name),
        }
    }
}

/// On a thread of its own, because a test's runtime may be ending.
fn drop_database(server: String, name: &str) {
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let dropping = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(command(&server, sql)).ok();
        }
    });
    dropping.join().ok();
}
