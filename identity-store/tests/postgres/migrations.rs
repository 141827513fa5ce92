use identity_store::{SqlStore, Store as _};
use postgres_cluster::Database;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::sql::{raw, run, wait_until};
use crate::{entropy, open};

/// What a store that migrates holds meanwhile: "identity" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"identity");
const WAITING: &str = "FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'identity-store'
      AND wait_event_type = 'Lock'";

pub(crate) async fn a_migration_waits_for_another_and_for_a_table_that_is_locked(
    database: Database,
) {
    let mut other = raw(&database).await;
    run(&mut other, &format!("SELECT pg_advisory_lock({LOCK})")).await;
    let url = database.url().to_owned();
    let migration = tokio::spawn(async move { SqlStore::migrate(&url, None, entropy()).await });
    // Longer than any statement of a server may take, and any wait for a lock.
    let long = "clock_timestamp() - query_start > '13 seconds'";
    wait_until(&database, &format!("count(*) > 0 {WAITING} AND {long}")).await;
    // A table that it makes is made by somebody else, who does not commit.
    run(&mut other, "BEGIN").await;
    run(&mut other, "CREATE TABLE tenants (nothing BIGINT)").await;
    run(&mut other, &format!("SELECT pg_advisory_unlock({LOCK})")).await;
    let making = format!("{WAITING} AND query LIKE '%CREATE TABLE tenants%'");
    wait_until(&database, &format!("count(*) > 0 {making}")).await;
    let first = AssertSqlSafe(format!("SELECT pid {making}"));
    let first: i32 = sqlx::query_scalar(first)
        .fetch_one(&mut other)
        .await
        .unwrap();
    // It gives up, which lets everybody behind it go on, and comes back.
    wait_until(
        &database,
        &format!("count(*) > 0 {making} AND pid <> {first}"),
    )
    .await;
    run(&mut other, "ROLLBACK").await;
    migration.await.unwrap().unwrap();
    other.close().await.unwrap();
    open(&database).await.close().await;
}
