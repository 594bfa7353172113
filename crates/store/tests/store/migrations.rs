//! Tables come up to date once, whoever starts and however often.

use homeward_store::{Database, Migration, Migrations, Options, StoreError, audit, on, testing};

use crate::TABLES;

async fn applied(db: &Database) -> Vec<(String, i32, String)> {
    on!(db, pool => sqlx::query_as("SELECT set_name, version, name FROM migration ORDER BY set_name, version").fetch_all(pool).await).unwrap()
}

#[tokio::test]
async fn migrating_twice_is_migrating_once_and_sets_count_for_themselves() {
    for db in testing::engines().await {
        db.migrate(&[TABLES]).await.unwrap();
        db.migrate(&[TABLES, audit::MIGRATIONS]).await.unwrap();
        let rows = applied(&db).await;
        let names: Vec<_> = rows.iter().map(|(set, version, name)| (set.as_str(), *version, name.as_str())).collect();
        assert_eq!(
            names,
            [("audit", 1, "0001_audit"), ("test", 1, "0001_thing"), ("test", 2, "0002_counter")],
            "{}",
            db.system()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_may_start_at_once() {
    for db in testing::engines().await {
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let db = db.reopen().await;
            tasks.push(tokio::spawn(async move { db.migrate(&[TABLES, audit::MIGRATIONS]).await }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(applied(&db).await.len(), 3, "{}", db.system());
    }
}

#[tokio::test]
async fn two_services_share_a_postgresql_database_in_schemas_of_their_own() {
    let db = testing::postgres().await;
    for schema in ["policy", "recovery"] {
        let service = Database::open(&format!("{}?schema={schema}", db.address()), &Options::default()).await.unwrap();
        service.migrate(&[TABLES]).await.unwrap();
        let here: String =
            on!(service, pool => sqlx::query_scalar("SELECT current_schema()::text").fetch_one(pool).await).unwrap();
        assert_eq!(here, schema);
        assert_eq!(applied(&service).await.len(), 2);
        service.close().await;
    }
    let schemas: i64 = on!(db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'thing'").fetch_one(pool).await).unwrap();
    assert_eq!(schemas, 2);
}

#[tokio::test]
async fn what_is_missing_is_told_and_nothing_is_changed_by_asking() {
    for db in testing::engines().await {
        let all = ["test/0001_thing", "test/0002_counter", "audit/0001_audit"];
        assert_eq!(db.missing_migrations(&[TABLES, audit::MIGRATIONS]).await.unwrap(), all, "{}", db.system());
        assert_eq!(db.missing_migrations(&[TABLES]).await.unwrap(), all[..2]);
        db.migrate(&[TABLES]).await.unwrap();
        assert_eq!(db.missing_migrations(&[TABLES, audit::MIGRATIONS]).await.unwrap(), all[2..], "{}", db.system());
        db.migrate(&[audit::MIGRATIONS]).await.unwrap();
        assert!(db.missing_migrations(&[TABLES, audit::MIGRATIONS]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_role_that_may_make_no_schema_brings_its_own_up_to_date() {
    let db = testing::postgres().await;
    let role = format!("r{}", uuid::Uuid::new_v4().simple());
    let make = format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA policy AUTHORIZATION {role}");
    on!(db, pool => sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(pool).await.map(drop)).unwrap();
    let mut address = url::Url::parse(&format!("{}?schema=policy", db.address())).unwrap();
    address.set_username(&role).unwrap();
    let service = Database::open(address.as_str(), &Options::default()).await.unwrap();
    service.migrate(&[TABLES]).await.unwrap();
    assert!(service.missing_migrations(&[TABLES]).await.unwrap().is_empty());
    service.close().await;
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    on!(db, pool => sqlx::raw_sql(sqlx::AssertSqlSafe(gone)).execute(pool).await.map(drop)).unwrap();
}

fn set<const N: usize>(steps: [Migration; N]) -> Migrations {
    Migrations { set: "test", steps: Box::leak(Box::new(steps)) }
}

const fn step(name: &'static str, sql: &'static str) -> Migration {
    Migration { name, postgres: sql, sqlite: sql }
}

async fn refusal(db: &Database, sets: &[Migrations]) -> String {
    let error = db.migrate(sets).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_set_that_was_tampered_with_is_refused_by_name() {
    const FIRST: Migration = step("0001_one", "CREATE TABLE one (id BIGINT)");
    const THIRD: Migration = step("0003_three", "CREATE TABLE three (id BIGINT)");
    for db in testing::engines().await {
        db.migrate(&[set([FIRST, THIRD])]).await.unwrap();
        let changed = refusal(&db, &[set([step("0001_one", "CREATE TABLE one (id TEXT)"), THIRD])]).await;
        assert!(changed.contains("test/0001_one") && changed.contains("differs"), "{changed}");
        let late = refusal(&db, &[set([FIRST, step("0002_two", "CREATE TABLE two (id BIGINT)"), THIRD])]).await;
        assert!(late.contains("test/0002_two") && late.contains("next number"), "{late}");
        let nameless = refusal(&db, &[set([FIRST, THIRD, step("four", "SELECT 1")])]).await;
        assert!(nameless.contains("must begin with a number"), "{nameless}");
        // An older version of the program knows less than the tables: it may run, and changes nothing.
        db.migrate(&[set([FIRST])]).await.unwrap();
        assert_eq!(applied(&db).await.len(), 2);
    }
}

#[tokio::test]
async fn a_step_that_fails_takes_the_whole_run_with_it() {
    for db in testing::engines().await {
        let failed =
            refusal(&db, &[TABLES, set([step("0009_bad", "CREATE TABLE fine (id BIGINT); CREATE TABLE fine (id BIGINT)")])])
                .await;
        assert!(failed.contains("test/0009_bad"), "{failed}");
        let (sql_pg, sql_lite) = (
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()",
            "SELECT COUNT(*) FROM sqlite_schema",
        );
        let tables: i64 =
            on!(db, pool => sqlx::query_scalar(homeward_store::dialect!(db, pg: sql_pg, lite: sql_lite)).fetch_one(pool).await)
                .unwrap();
        assert_eq!(tables, 0, "{}", db.system());
        db.migrate(&[TABLES]).await.unwrap();
    }
}

#[tokio::test]
async fn both_engines_have_the_same_columns() {
    testing::schemas_agree(&[TABLES, audit::MIGRATIONS]).await;
}

#[tokio::test]
#[should_panic(expected = "only in sqlite: [\"lease.home\"]")]
async fn a_column_that_one_engine_lacks_is_noticed() {
    const UNEVEN: Migrations = Migrations {
        set: "uneven",
        steps: &[Migration {
            name: "0001_lease",
            postgres: "CREATE TABLE lease (id UUID, state TEXT)",
            sqlite: "CREATE TABLE lease (id BLOB, state TEXT, home TEXT) STRICT",
        }],
    };
    testing::schemas_agree(&[UNEVEN]).await;
}
