//! SQLite: the embedded database.
//!
//! One connection writes, so that writers queue inside the process instead of meeting at the file's
//! lock; a pool of readers sees what was committed last.

mod connect;
mod held;
mod migrate;
mod seal;
mod writer;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::connection::Connection;
use super::encrypted::Sealer;
use super::fault::Fault;
use super::schema::{Migrate, Migrations};
use crate::Result;

pub(super) use connect::{file, refuse_open_elsewhere, writer_options};
pub(super) use held::Held;
pub(super) use seal::seal;
use writer::Writer;

/// The migration after which the program encrypts what was stored in the open, before the next.
pub(super) const ENCRYPTED_COLUMNS: &str = "encrypted columns";

pub(super) const MIGRATIONS: Migrations = &[
    (
        "initial",
        include_str!("../../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        "revocation lists and tainted cas",
        include_str!("../../../migrations/sqlite/0002_revocation_lists_and_tainted_cas.sql"),
    ),
    (
        "leases and rate limits",
        include_str!("../../../migrations/sqlite/0003_leases_and_rate_limits.sql"),
    ),
    (
        ENCRYPTED_COLUMNS,
        include_str!("../../../migrations/sqlite/0004_encrypted_columns.sql"),
    ),
    (
        "open columns go",
        include_str!("../../../migrations/sqlite/0005_open_columns_go.sql"),
    ),
    (
        "audit and outbox",
        include_str!("../../../migrations/sqlite/0006_audit_and_outbox.sql"),
    ),
    (
        "jobs and retired ca keys",
        include_str!("../../../migrations/sqlite/0007_jobs_and_retired_ca_keys.sql"),
    ),
    (
        "second factor",
        include_str!("../../../migrations/sqlite/0008_second_factor.sql"),
    ),
    (
        "device policy and expiry alerts",
        include_str!("../../../migrations/sqlite/0009_device_policy_and_expiry_alerts.sql"),
    ),
    (
        "renewal graces",
        include_str!("../../../migrations/sqlite/0010_renewal_graces.sql"),
    ),
    (
        "audit queries",
        include_str!("../../../migrations/sqlite/0011_audit_queries.sql"),
    ),
    (
        "wrong answers",
        include_str!("../../../migrations/sqlite/0012_wrong_answers.sql"),
    ),
    (
        "erasures",
        include_str!("../../../migrations/sqlite/0013_erasures.sql"),
    ),
    (
        "client keys and tokens",
        include_str!("../../../migrations/sqlite/0014_client_keys_and_tokens.sql"),
    ),
    (
        "backchannel requests",
        include_str!("../../../migrations/sqlite/0015_backchannel_requests.sql"),
    ),
    (
        "webhooks",
        include_str!("../../../migrations/sqlite/0016_webhooks.sql"),
    ),
    (
        "jobs ended",
        include_str!("../../../migrations/sqlite/0017_jobs_ended.sql"),
    ),
    (
        "expiry thresholds",
        include_str!("../../../migrations/sqlite/0018_expiry_thresholds.sql"),
    ),
    (
        "backchannel notifications",
        include_str!("../../../migrations/sqlite/0019_backchannel_notifications.sql"),
    ),
    (
        "job devices",
        include_str!("../../../migrations/sqlite/0020_job_devices.sql"),
    ),
];

/// The connections to one file.
#[derive(Debug)]
pub(super) struct SqliteDatabase {
    writer: Writer,
    pub(super) readers: SqlitePool,
}

impl SqliteDatabase {
    pub(super) async fn open(
        options: SqliteConnectOptions,
        migrate: Migrate,
        sealer: Sealer<'_>,
    ) -> Result<Self> {
        migrate::bring_up(options.clone(), migrate, Some(sealer)).await?;
        let connect = async {
            let writer = Writer::connect(connect::with_cache(options.clone())).await?;
            let readers = connect::readers(options).await?;
            Ok(Self { writer, readers })
        };
        connect.await.map_err(|fault: Fault| fault.named("open"))
    }

    pub(super) async fn migrate(file: &str, sealer: Option<Sealer<'_>>) -> Result<()> {
        let options = connect::writer_options(file);
        migrate::bring_up(options, Migrate::Auto, sealer).await
    }

    /// A transaction: the only one.
    pub(super) async fn begin(&self) -> sqlx::Result<Connection> {
        let begun = self.writer.begin().await?;
        Ok(Connection::Sqlite(Held::Write(begun)))
    }

    pub(super) async fn reader(&self) -> sqlx::Result<Connection> {
        let reader = self.readers.acquire().await?;
        Ok(Connection::Sqlite(Held::Reader(reader)))
    }

    /// Closes the writer last: the connection that closes last folds the log into the database.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
