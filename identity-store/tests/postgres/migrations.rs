use std::time::Duration;

use identity_store::postgres_testing::{MIGRATIONS, migrate};
use identity_store::{Error, Migrate, PoolOptions, SqlStore, Store as _};
use postgres_cluster::Database;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::sql::{raw, run, wait_until};
use crate::{crypter, entropy, open};

/// What a store that migrates holds meanwhile: "identity" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"identity");
const WAITING: &str = "FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'identity-store'
      AND wait_event_type = 'Lock'";

/// A migration that takes longer than a statement may, and than all tries wait for a lock.
const SLOW: &[(&str, &str)] = &[
    ("initial", "CREATE TABLE slept (times BIGINT)"),
    (
        "slow",
        "INSERT INTO slept SELECT 1 FROM (SELECT pg_sleep(1.5)) slow",
    ),
    ("last", "INSERT INTO slept VALUES (1)"),
];

pub(crate) async fn of_two_that_migrate_at_once_one_waits_however_long_the_other_takes(
    database: Database,
) {
    const LIMITS: &[(&str, &str)] = &[("statement_timeout", "200ms"), ("lock_timeout", "20ms")];
    let mut both = JoinSet::new();
    for _ in 0..2 {
        let url = database.url().to_owned();
        both.spawn(async move { migrate(&url, SLOW, LIMITS).await });
    }
    for migrated in both.join_all().await {
        migrated.unwrap();
    }
    wait_until(&database, "sum(times) = 2 FROM slept").await;
    wait_until(
        &database,
        "count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await;
}

pub(crate) async fn a_migration_waits_for_another_and_for_a_table_that_is_locked(
    database: Database,
) {
    const LIMITS: &[(&str, &str)] = &[("statement_timeout", "200ms"), ("lock_timeout", "500ms")];
    let mut other = raw(&database).await;
    run(&mut other, &format!("SELECT pg_advisory_lock({LOCK})")).await;
    let url = database.url().to_owned();
    let migration = tokio::spawn(async move { migrate(&url, MIGRATIONS, LIMITS).await });
    // Longer than any statement may take, and any wait for a lock.
    let long = "clock_timestamp() - query_start > '700 milliseconds'";
    wait_until(&database, &format!("count(*) > 0 {WAITING} AND {long}")).await;
    // A table that it makes is made by somebody else, who does not commit.
    run(&mut other, "BEGIN").await;
    run(&mut other, "CREATE TABLE tenants (nothing BIGINT)").await;
    run(&mut other, &format!("SELECT pg_advisory_unlock({LOCK})")).await;
    // It gives up, which lets everybody behind it go on, and comes back.
    let first = waits_for_its_table(&database, 0).await;
    waits_for_its_table(&database, first).await;
    run(&mut other, "ROLLBACK").await;
    migration.await.unwrap().unwrap();
    other.close().await.unwrap();
    open(&database).await.close().await;
}

/// Waits for a try to wait for its table that is not the one of `before`; returns its process.
async fn waits_for_its_table(database: &Database, before: i32) -> i32 {
    let process =
        format!("SELECT pid {WAITING} AND query LIKE '%CREATE TABLE tenants%' AND pid <> {before}");
    let mut conn = raw(database).await;
    let found = async {
        loop {
            let process = sqlx::query_scalar(AssertSqlSafe(process.clone()));
            if let Some(found) = process.fetch_optional(&mut conn).await.unwrap() {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(Duration::from_secs(60), found).await.unwrap();
    conn.close().await.unwrap();
    found
}

pub(crate) async fn an_older_schema_is_refused_when_migrating_is_switched_off(database: Database) {
    let try_open = async || {
        let pool = PoolOptions::default();
        SqlStore::open(database.url(), &pool, crypter(), entropy(), Migrate::Off).await
    };
    let error = try_open().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaOlder { found: 0, .. }),
        "{error:?}"
    );
    let mut several = JoinSet::new();
    for _ in 0..4 {
        let url = database.url().to_owned();
        several.spawn(async move { SqlStore::migrate(&url, None, entropy()).await });
    }
    for migrated in several.join_all().await {
        migrated.unwrap();
    }
    let store = try_open().await.unwrap();
    store.check().await.unwrap();
    // To one that is open, what a later release leaves is as good.
    let next = ("next", "ALTER TABLE devices ADD COLUMN next TEXT");
    let later: &'static [_] = [MIGRATIONS, &[next]].concat().leak();
    migrate(database.url(), later, &[]).await.unwrap();
    store.check().await.unwrap();
    let error = try_open().await.unwrap_err();
    assert!(matches!(error, Error::SchemaNewer { .. }), "{error:?}");
    store.close().await;
}
