//! What tests do behind the stores' backs.

use std::time::Duration;

use postgres_cluster::Database;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

pub(crate) async fn raw(database: &Database) -> PgConnection {
    PgConnection::connect(database.url()).await.unwrap()
}

pub(crate) async fn run(conn: &mut PgConnection, statement: &str) {
    let run = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(conn);
    run.await.unwrap();
}

/// Waits until a condition holds, for a minute.
pub(crate) async fn wait_until(database: &Database, condition: &str) {
    let mut conn = raw(database).await;
    let holds = async {
        let condition = format!("SELECT {condition}");
        let ask = || sqlx::query_scalar::<_, bool>(AssertSqlSafe(condition.clone()));
        while !ask().fetch_one(&mut conn).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(60), holds).await;
    assert!(held.is_ok(), "never: {condition}");
    conn.close().await.unwrap();
}

/// Waits until so many statements of stores wait for a lock.
pub(crate) async fn wait_for_waiting(database: &Database, statements: u8) {
    let waiting = format!(
        "count(*) = {statements} FROM pg_stat_activity WHERE datname = current_database()
         AND application_name = 'identity-store' AND wait_event_type = 'Lock'"
    );
    wait_until(database, &waiting).await;
}
