//! The database that a store's URL names.

use std::time::Duration;

use super::connection::Connection;
use super::encrypted::Sealer;
#[cfg(feature = "postgres")]
use super::postgres::{self, PostgresDatabase};
use super::schema::Migrate;
#[cfg(feature = "sqlite")]
use super::sqlite::{self, SqliteDatabase};
use super::tx::Isolation;
use crate::observer::Observed;
use crate::{Notice, Result};

/// How many connections to PostgreSQL are held. SQLite has one writer and four readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// The most connections, at least 2; a listener for notices is beside them.
    pub max_connections: u32,
    /// How many may lie unused for longer than two seconds.
    pub max_idle: u32,
    /// How long a caller waits for one before the database counts as busy.
    pub acquire_timeout: Duration,
    /// How old a connection gets; `None` is any age.
    pub max_lifetime: Option<Duration>,
    /// How long a connection may lie unused before it is closed; `None` is for ever.
    pub idle_timeout: Option<Duration>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            max_idle: 16,
            acquire_timeout: Duration::from_secs(5),
            max_lifetime: Some(Duration::from_secs(60 * 60)),
            idle_timeout: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// The connections to a database.
#[derive(Debug)]
pub(super) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteDatabase),
    #[cfg(feature = "postgres")]
    Postgres(PostgresDatabase),
}

impl Database {
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "SQLite has one writer and one process")
    )]
    pub(super) async fn open(
        database_url: &str,
        pool: &PoolOptions,
        migrate: Migrate,
        observed: Observed,
        sealer: Sealer<'_>,
    ) -> Result<Self> {
        #[cfg(feature = "postgres")]
        if postgres::is_url(database_url) {
            let opened = PostgresDatabase::open(database_url, pool, migrate, observed, sealer);
            return opened.await.map(Self::Postgres);
        }
        #[cfg(feature = "sqlite")]
        let options = sqlite::writer_options(sqlite::file(database_url)?);
        #[cfg(feature = "sqlite")]
        let opened = SqliteDatabase::open(options, migrate, sealer)
            .await
            .map(Self::Sqlite);
        #[cfg(not(feature = "sqlite"))]
        let opened = Err(crate::Error::Url(
            "is not one of PostgreSQL, and there is no SQLite",
        ));
        opened
    }

    pub(super) async fn migrate(database_url: &str, sealer: Option<Sealer<'_>>) -> Result<()> {
        #[cfg(feature = "postgres")]
        if postgres::is_url(database_url) {
            return PostgresDatabase::migrate(database_url, sealer).await;
        }
        #[cfg(feature = "sqlite")]
        let migrated = SqliteDatabase::migrate(sqlite::file(database_url)?, sealer).await;
        #[cfg(not(feature = "sqlite"))]
        let migrated = Err(crate::Error::Url(
            "is not one of PostgreSQL, and there is no SQLite",
        ));
        migrated
    }

    /// Refuses a file that another process has open.
    pub(super) async fn refuse_open_elsewhere(database_url: &str) -> Result<()> {
        #[cfg(feature = "postgres")]
        if postgres::is_url(database_url) {
            return Ok(());
        }
        #[cfg(feature = "sqlite")]
        sqlite::refuse_open_elsewhere(sqlite::file(database_url)?).await?;
        Ok(())
    }

    /// Whether other processes may work on it.
    pub(super) fn is_shared(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// A transaction.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "SQLite has one writer and one process")
    )]
    pub(super) async fn begin(&self, isolation: Isolation) -> sqlx::Result<Connection> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.begin().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.begin(isolation).await,
        }
    }

    /// A connection that sees what was committed last.
    pub(super) async fn reader(&self) -> sqlx::Result<Connection> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.reader().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.reader().await,
        }
    }

    /// Tells the other processes what was committed. SQLite's is the only one.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "SQLite has one writer and one process")
    )]
    pub(super) fn announce(&self, notices: Vec<Notice>) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.announce(notices),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
        }
    }
}
