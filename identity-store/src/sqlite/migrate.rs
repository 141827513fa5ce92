//! Brings the schema to the version that this program knows.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{SqlSafeStr as _, SqliteConnection};

use super::connect;
use super::fault::{Fault, Step};
use crate::{Error, Result};

/// How often opening is tried while another process brings the same database up. Each try waits for
/// the lock as long as a transaction does.
const TRIES: u32 = 30;

/// Whether opening a database migrates it (`IDENTITY_MIGRATE`, contract §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// It does, under a lock: several processes may open the database at once.
    Auto,
    /// It does not; an older schema is refused.
    Off,
}

/// What each migration is called and does; the first is version 1.
const MIGRATIONS: [(&str, &str); 2] = [
    (
        "initial",
        include_str!("../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        "revocation lists and tainted cas",
        include_str!("../../migrations/sqlite/0002_revocation_lists_and_tainted_cas.sql"),
    ),
];

/// Every migration, in order.
fn migrator() -> Migrator {
    let migration = |(version, (name, sql)): (i64, (&'static str, &'static str))| {
        let sql = sql.into_sql_str();
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql,
            false,
        )
    };
    Migrator::with_migrations((1..).zip(MIGRATIONS).map(migration).collect())
}

/// The newest version that this program knows.
fn known() -> i64 {
    migrator()
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Connects the writer, and applies what is missing or refuses a schema that is not this program's.
pub(super) async fn bring_up(
    options: SqliteConnectOptions,
    migrate: Migrate,
) -> Result<SqlitePool> {
    let mut tries = 1;
    loop {
        match connect_and_apply(options.clone(), migrate).await {
            Err(Error::Busy { .. }) if tries < TRIES => tries += 1,
            Err(Error::Busy { transaction, .. }) => {
                return Err(Error::Busy { transaction, tries });
            }
            outcome => return outcome,
        }
    }
}

async fn connect_and_apply(options: SqliteConnectOptions, migrate: Migrate) -> Result<SqlitePool> {
    let run = async {
        let writer = connect::writer(options).await?;
        // sqlx's own migration lock does nothing on SQLite; the write lock is one.
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        match (check_version(&mut transaction).await, migrate) {
            (Ok(()), _) => {}
            (Err(Fault::Refused(Error::SchemaOlder { .. })), Migrate::Auto) => {
                migrator()
                    .run_direct(None, &mut *transaction, false)
                    .await
                    .map_err(|source| Error::Backend {
                        operation: "migrate",
                        source: Box::new(source),
                    })?;
            }
            (Err(fault), _) => return Err(fault),
        }
        transaction.commit().await?;
        Ok(writer)
    };
    run.await.map_err(|fault: Fault| fault.named("migrate"))
}

/// Refuses a schema that is older or newer than this program's.
pub(super) async fn check_version(conn: &mut SqliteConnection) -> Step<()> {
    let known = known();
    match found(conn).await? {
        found if found < known => Err(Error::SchemaOlder { found, known }.into()),
        found if found > known => Err(Error::SchemaNewer { found, known }.into()),
        _ => Ok(()),
    }
}

/// The newest migration applied; 0 for an empty database.
async fn found(conn: &mut SqliteConnection) -> Step<i64> {
    const IS_THERE: &str =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
    const NEWEST: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    let tables: i64 = sqlx::query_scalar(IS_THERE).fetch_one(&mut *conn).await?;
    if tables == 0 {
        return Ok(0);
    }
    Ok(sqlx::query_scalar(NEWEST).fetch_one(conn).await?)
}
