//! A copy of an embedded database that is in use.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::{Error, Result};

const OPERATION: &str = "backup";
/// How long the copy waits for a writer's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The newest migration that was applied to it.
    pub schema_version: i64,
    /// Its length in bytes.
    pub length: u64,
}

/// Copies the SQLite database in the file `database` to the new file `to`, which its owner alone may
/// read, while other processes go on reading and writing. The copy is the database as it was at one
/// moment after the call, with every change that was committed before it; it is on the disk, whole
/// and checked, when this returns. The data key, without which its secrets cannot be read, is not in
/// it.
///
/// ```no_run
/// # async fn copy() -> identity_store::Result<()> {
/// let copied = identity_store::back_up("identity.db".as_ref(), "monday.db".as_ref()).await?;
/// println!("{} bytes", copied.length);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Backup`] when `to` is there already, or one of the two is no such database;
/// [`Error::Backend`] when the database or a file fails. `to` is not left behind then, unless it was
/// there.
pub async fn back_up(database: &Path, to: &Path) -> Result<Backup> {
    let name = to.to_str().ok_or(Error::Backup("needs a path in UTF-8"))?;
    let mut live = open(database, false).await?;
    let version = schema_version(&mut live).await?;
    create(to)?;
    let copied = copy(&mut live, name, version).await;
    if copied.is_err() {
        // The first failure is the one to tell.
        let _ = std::fs::remove_file(to);
    }
    live.close().await.map_err(failed)?;
    copied
}

/// Makes the file, so that nobody else could have, and nobody else can read it.
fn create(to: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::Backup("does not overwrite a file that is there"))
        }
        Err(error) => Err(failed(error)),
    }
}

async fn copy(live: &mut SqliteConnection, to: &str, version: i64) -> Result<Backup> {
    // A read transaction: writers go on, and the copy sees none of what they commit meanwhile.
    sqlx::query("VACUUM INTO ?1")
        .bind(to)
        .execute(live)
        .await
        .map_err(failed)?;
    let path = Path::new(to);
    let length = sync(path).map_err(failed)?;
    let mut copy = open(path, true).await?;
    let schema_version = schema_version(&mut copy).await?;
    if schema_version < version {
        return Err(Error::Backup("has an older schema than the database"));
    }
    check(&mut copy).await?;
    copy.close().await.map_err(failed)?;
    Ok(Backup {
        schema_version,
        length,
    })
}

/// Brings the file and its name to the disk; gives its length.
fn sync(path: &Path) -> std::io::Result<u64> {
    let file = File::open(path)?;
    file.sync_all()?;
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file.metadata()?.len())
}

async fn open(path: &Path, read_only: bool) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(read_only)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(failed)
}

async fn schema_version(database: &mut SqliteConnection) -> Result<i64> {
    let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(database)
        .await;
    let none = Error::Backup("finds no identity database in the file");
    match version {
        Ok(Some(version)) => Ok(version),
        Ok(None) => Err(none),
        Err(sqlx::Error::Database(error)) if error.message().contains("no such table") => Err(none),
        Err(error) => Err(failed(error)),
    }
}

async fn check(copy: &mut SqliteConnection) -> Result<()> {
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *copy)
        .await
        .map_err(failed)?;
    let orphans = sqlx::query("PRAGMA foreign_key_check")
        .fetch_optional(copy)
        .await
        .map_err(failed)?;
    if verdict != "ok" || orphans.is_some() {
        return Err(Error::Backup("is not whole: the database is damaged"));
    }
    Ok(())
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Backend {
        operation: OPERATION,
        source: Box::new(source),
    }
}
