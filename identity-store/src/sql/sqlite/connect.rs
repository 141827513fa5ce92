//! How the database is opened: what is durable, what waits, who writes.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::sql::fault::{self, Fault};
use crate::{Conflict, Error, Result};

/// How long a connection waits for another process's lock before a try counts as failed.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How many readers work beside the one writer.
const READERS: u32 = 4;
/// How long a caller waits for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of the database the writer keeps in memory at most, in KiB, with a minus sign. With SQLite's
/// own 2 MiB it reads most pages of a growing index again in every transaction.
const WRITER_CACHE: &str = "-16384";
/// How many pages the log grows by before it is folded into the database: 64 MiB. A page that many
/// transactions change is then written there once for all of them, and far fewer than one request in a
/// hundred waits for it.
const CHECKPOINT_PAGES: &str = "16384";
/// What stays of the log's file when it begins anew: 64 MiB. It is longer after a backup, during which
/// nothing is folded in.
const LOG_SIZE: &str = "67108864";

/// The options of the connection that writes.
///
/// WAL lets readers go on while it does, and `synchronous = FULL` puts every commit on the disk
/// before it is answered.
pub(in crate::sql) fn writer_options(file: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_SIZE)
        .disable_statement_logging()
}

/// The file that a database URL names: `sqlite://PATH`, or a bare path.
pub(in crate::sql) fn file(database_url: &str) -> Result<&str> {
    let path = match database_url.split_once(':') {
        Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((scheme, rest)) if rest.starts_with("//") && !scheme.contains('/') => {
            return Err(Error::Url(
                "has an unknown scheme; use sqlite://PATH or postgres://",
            ));
        }
        Some(_) | None => database_url,
    };
    if path.is_empty() || path.starts_with(':') || path.contains('?') {
        return Err(Error::Url(
            "names no file; a database in memory is MemoryStore, and options are not taken",
        ));
    }
    Ok(path)
}

/// Refuses a file that another connection has open: each holds a lock on it from its first use to its end,
/// and one in exclusive mode tolerates no other.
pub(in crate::sql) async fn refuse_open_elsewhere(file: &str) -> Result<()> {
    let alone = writer_options(file)
        .create_if_missing(false)
        .locking_mode(SqliteLockingMode::Exclusive);
    let connect = async { alone.connect().await?.close().await };
    connect.await.map_err(|error| {
        if fault::is_busy(&error) {
            Error::Conflict(Conflict::Served)
        } else {
            Fault::from(error).named("open")
        }
    })
}

/// A connection to bring the database up on, as sqlx wants it. It makes the file if it is not there.
pub(super) async fn migrating(options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    create_for_the_owner_alone(options.get_filename())?;
    pool(1).connect_with(options).await
}

/// The options of the connection that stays to write.
pub(super) fn with_cache(options: SqliteConnectOptions) -> SqliteConnectOptions {
    let options = options.create_if_missing(false);
    options.pragma("cache_size", WRITER_CACHE)
}

/// Who acts where and when lies open in the database: nobody but its owner reads the file. SQLite gives
/// its log the same mode.
fn create_for_the_owner_alone(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A pool of connections that cannot write.
pub(super) async fn readers(options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let options = options.create_if_missing(false).pragma("query_only", "ON");
    pool(READERS).connect_with(options).await
}

/// Connections that stay open: none has state that a rest would cure.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_or_is_refused() {
        for (url, path) in [
            ("sqlite://identity.db", "identity.db"),
            ("sqlite:///var/lib/identity.db", "/var/lib/identity.db"),
            ("sqlite:identity.db", "identity.db"),
            ("identity.db", "identity.db"),
            ("/tmp/a:b.db", "/tmp/a:b.db"),
        ] {
            assert_eq!(file(url).unwrap(), path, "{url}");
        }
        for url in [
            "",
            "sqlite://",
            "sqlite::memory:",
            ":memory:",
            "sqlite://identity.db?mode=ro",
            "mysql://localhost/identity",
        ] {
            assert!(matches!(file(url), Err(Error::Url(_))), "{url}");
        }
    }
}
