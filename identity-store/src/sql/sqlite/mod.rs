//! SQLite: the embedded database.
//!
//! One connection writes, so that writers queue inside the process instead of meeting at the file's
//! lock; a pool of readers sees what was committed last.

mod connect;
mod migrate;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::connection::{Connection, Held};
use super::fault::Fault;
use super::schema::{Migrate, Migrations};
use crate::Result;

pub(super) use connect::{file, writer_options};

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
];

/// The connections to one file.
#[derive(Debug)]
pub(super) struct SqliteDatabase {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
}

impl SqliteDatabase {
    pub(super) async fn open(options: SqliteConnectOptions, migrate: Migrate) -> Result<Self> {
        let writer = migrate::bring_up(options.clone(), migrate).await?;
        let readers = connect::readers(options).await;
        let readers = readers.map_err(|error| Fault::from(error).named("open"))?;
        Ok(Self { writer, readers })
    }

    pub(super) async fn migrate(file: &str) -> Result<()> {
        let options = connect::writer_options(file);
        let writer = migrate::bring_up(options, Migrate::Auto).await?;
        writer.close().await;
        Ok(())
    }

    /// Waits for the write lock before anything is read.
    pub(super) async fn begin(&self) -> sqlx::Result<Connection> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Connection::Sqlite(Held::Transaction(begun)))
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
