//! PostgreSQL: one database, shared by any number of processes.

mod connect;
mod held;
mod notices;
mod spare;
#[cfg(feature = "testing")]
pub mod testing;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio_util::sync::DropGuard;

use super::TRIES;
use super::connection::Connection;
use super::database::PoolOptions;
use super::encrypted::Sealer;
use super::fault::{self, Fault, Step};
use super::schema::{self, Migrate, Migrations};
use super::tx::Isolation;
use crate::observer::Observed;
use crate::{Error, Notice, Result};
use notices::Notices;

pub(super) use connect::is_url;
pub(super) use held::Held;

/// In their order.
pub(super) const MIGRATIONS: Migrations = &[
    (
        "initial",
        include_str!("../../../migrations/postgres/0001_initial.sql"),
    ),
    (
        "jobs and retired ca keys",
        include_str!("../../../migrations/postgres/0002_jobs_and_retired_ca_keys.sql"),
    ),
    (
        "second factor",
        include_str!("../../../migrations/postgres/0003_second_factor.sql"),
    ),
    (
        "device policy and expiry alerts",
        include_str!("../../../migrations/postgres/0004_device_policy_and_expiry_alerts.sql"),
    ),
    (
        "renewal graces",
        include_str!("../../../migrations/postgres/0005_renewal_graces.sql"),
    ),
    (
        "audit queries",
        include_str!("../../../migrations/postgres/0006_audit_queries.sql"),
    ),
    (
        "wrong answers",
        include_str!("../../../migrations/postgres/0007_wrong_answers.sql"),
    ),
    (
        "erasures",
        include_str!("../../../migrations/postgres/0008_erasures.sql"),
    ),
    (
        "client keys and tokens",
        include_str!("../../../migrations/postgres/0009_client_keys_and_tokens.sql"),
    ),
    (
        "backchannel requests",
        include_str!("../../../migrations/postgres/0010_backchannel_requests.sql"),
    ),
    (
        "webhooks",
        include_str!("../../../migrations/postgres/0011_webhooks.sql"),
    ),
    (
        "jobs ended",
        include_str!("../../../migrations/postgres/0012_jobs_ended.sql"),
    ),
    (
        "expiry thresholds",
        include_str!("../../../migrations/postgres/0013_expiry_thresholds.sql"),
    ),
    (
        "backchannel notifications",
        include_str!("../../../migrations/postgres/0014_backchannel_notifications.sql"),
    ),
    (
        "job devices",
        include_str!("../../../migrations/postgres/0015_job_devices.sql"),
    ),
];

/// The lock that whoever migrates holds: "identity" in ASCII.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"identity");

/// The connections to one database.
#[derive(Debug)]
pub(super) struct PostgresDatabase {
    pool: PgPool,
    notices: Notices,
    /// Ends what closes spare connections.
    _spare: DropGuard,
}

impl PostgresDatabase {
    pub(super) async fn open(
        database_url: &str,
        pool: &PoolOptions,
        migrate: Migrate,
        observed: Observed,
        sealer: Sealer<'_>,
    ) -> Result<Self> {
        let options = connect::options(database_url)?;
        bring_up(&options, MIGRATIONS, migrate, Some(sealer)).await?;
        let max_idle = pool.max_idle;
        let pool = connect::pool(options.clone(), pool);
        let notices = Notices::start(options, pool.clone(), observed);
        Ok(Self {
            _spare: spare::close_beyond(max_idle, &pool),
            pool,
            notices,
        })
    }

    pub(super) async fn migrate(database_url: &str, sealer: Option<Sealer<'_>>) -> Result<()> {
        let options = connect::options(database_url)?;
        bring_up(&options, MIGRATIONS, Migrate::Auto, sealer).await
    }

    pub(super) async fn begin(&self, isolation: Isolation) -> sqlx::Result<Connection> {
        let begin = match isolation {
            Isolation::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        let begun = Held::transaction(&self.pool, begin).await?;
        Ok(Connection::Postgres(begun))
    }

    pub(super) async fn reader(&self) -> sqlx::Result<Connection> {
        let reader = Held::reader(&self.pool).await?;
        Ok(Connection::Postgres(reader))
    }

    pub(super) fn announce(&self, notices: Vec<Notice>) {
        self.notices.announce(notices);
    }

    pub(super) async fn close(&self) {
        self.notices.close().await;
        self.pool.close().await;
    }
}

/// Applies what is missing under a lock that every process takes, or refuses a schema that is not
/// this program's.
async fn bring_up(
    options: &PgConnectOptions,
    migrations: Migrations,
    migrate: Migrate,
    sealer: Option<Sealer<'_>>,
) -> Result<()> {
    let run = async {
        let pool = connect::single(options.clone());
        let first = Held::reader(&pool).await.map_err(fault::unreachable);
        let mut connection = Connection::Postgres(first?);
        // Whose schema is right needs no lock, and no right to change it.
        let found = schema::bring_up(&mut connection, migrations, Migrate::Off, sealer).await;
        // Back to the pool: the lock needs it, and so does the pool's end.
        drop(connection);
        let outcome = match found {
            Err(Fault::Refused(Error::SchemaOlder { .. })) if migrate == Migrate::Auto => {
                migrate_patiently(&pool, migrations, sealer).await
            }
            outcome => outcome,
        };
        pool.close().await;
        outcome
    };
    run.await.map_err(|fault: Fault| fault.named("migrate"))
}

/// Migrates, again while a table is not to be had: behind a migration that waits for one everybody else
/// would wait as well.
async fn migrate_patiently(
    pool: &PgPool,
    migrations: Migrations,
    sealer: Option<Sealer<'_>>,
) -> Step<()> {
    for _ in 1..TRIES {
        match locked(pool, migrations, sealer).await {
            Err(fault) if fault.is_busy() => tracing::info!(?fault, "to be migrated again"),
            outcome => return outcome,
        }
    }
    locked(pool, migrations, sealer).await
}

/// One try of that, once nobody else migrates. Each migration is a transaction of its own: the lock and
/// the limits are the session's, and end with it.
async fn locked(pool: &PgPool, migrations: Migrations, sealer: Option<Sealer<'_>>) -> Step<()> {
    const LOCK: &str = "SELECT pg_advisory_lock($1)";
    /// Another may migrate for hours, and so may this: nothing ends but waiting for a table, and the session
    /// of a process that is gone.
    const UNLIMITED: &str = "SET statement_timeout = 0; SET lock_timeout = 0;
        SET client_connection_check_interval = '10s'; SET idle_session_timeout = '1min'";
    const LIMITED_LOCKS: &str = "SET lock_timeout TO DEFAULT";
    let mut held = Held::reader(pool).await?;
    let connection = held.unwatched();
    connection.execute(UNLIMITED).await?;
    tracing::info!("waiting until nobody else migrates");
    connection
        .execute(sqlx::query(LOCK).bind(MIGRATION_LOCK))
        .await?;
    connection.execute(LIMITED_LOCKS).await?;
    let mut connection = Connection::Postgres(held);
    schema::bring_up(&mut connection, migrations, Migrate::Auto, sealer).await
}
