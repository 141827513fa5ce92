//! The version of a schema, and the migrations that bring a database to this program's.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::connection::Connection;
use super::data_keys;
use super::encrypted::Sealer;
use super::fault::{self, Fault, Step};
use super::query::{Sql, query};
use crate::Error;

/// Whether opening a database migrates it (`IDENTITY_MIGRATE`, contract §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// It does, under a lock: several processes may open the database at once.
    Auto,
    /// It does not; an older schema is refused.
    Off,
}

/// What each migration of one database is called and does; the first is version 1.
pub(super) type Migrations = &'static [(&'static str, &'static str)];

/// What runs them. Its caller holds a lock already.
pub(super) fn migrator(migrations: Migrations) -> Migrator {
    let migration = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        let sql = sql.into_sql_str();
        Migration::new(
            version,
            Cow::Borrowed(*name),
            MigrationType::Simple,
            sql,
            false,
        )
    };
    let mut migrator = Migrator::with_migrations((1..).zip(migrations).map(migration).collect());
    migrator.set_locking(false);
    migrator
}

/// Applies what is missing, or refuses a schema that is not this program's. The caller holds a lock
/// that every process takes which may do so.
pub(super) async fn bring_up(
    conn: &mut Connection,
    migrations: Migrations,
    migrate: Migrate,
    sealer: Option<Sealer<'_>>,
) -> Step<()> {
    match (check_version(conn, migrations).await, migrate) {
        (Ok(()), _) => Ok(()),
        (Err(Fault::Refused(Error::SchemaOlder { .. })), Migrate::Auto) => {
            if let Some(sealer) = sealer {
                data_keys::refuse_foreign(conn, sealer.crypter).await?;
            }
            apply(conn, migrations, sealer).await
        }
        (Err(fault), _) => Err(fault),
    }
}

/// Applies what is missing. In a SQLite database the program itself encrypts what earlier versions
/// stored in the open, between two migrations.
#[cfg_attr(
    not(feature = "sqlite"),
    expect(
        unused_variables,
        reason = "only SQLite has stored anything in the open"
    )
)]
async fn apply(
    conn: &mut Connection,
    migrations: Migrations,
    sealer: Option<Sealer<'_>>,
) -> Step<()> {
    let sealed_after = match conn {
        #[cfg(feature = "sqlite")]
        Connection::Sqlite(_) => version_of(super::sqlite::ENCRYPTED_COLUMNS, migrations),
        #[cfg(feature = "postgres")]
        Connection::Postgres(_) => 0,
    };
    if found(conn).await? < sealed_after {
        run(conn, migrations, Some(sealed_after)).await?;
        #[cfg(feature = "sqlite")]
        super::sqlite::seal(conn, sealer).await?;
    }
    run(conn, migrations, None).await
}

/// The version that the migration of that name makes.
#[cfg(feature = "sqlite")]
pub(super) fn version_of(name: &str, migrations: Migrations) -> i64 {
    let mut numbered = (1..).zip(migrations);
    let found = numbered.find(|(_, migration)| migration.0 == name);
    found.map_or(0, |(version, _)| version)
}

/// Runs what is missing, up to a version.
pub(super) async fn run(
    conn: &mut Connection,
    migrations: Migrations,
    target: Option<i64>,
) -> Step<()> {
    let migrator = migrator(migrations);
    let ran = match conn {
        #[cfg(feature = "sqlite")]
        Connection::Sqlite(held) => migrator.run_direct(target, &mut **held, false).await,
        #[cfg(feature = "postgres")]
        Connection::Postgres(held) => migrator.run_direct(target, held.unwatched(), false).await,
    };
    ran.map_err(|failed| match failed {
        MigrateError::Execute(busy) | MigrateError::ExecuteMigration(busy, _)
            if fault::is_busy(&busy) =>
        {
            busy.into()
        }
        source => Fault::Refused(Error::Backend {
            operation: "migrate",
            source: Box::new(source),
        }),
    })
}

/// Refuses a schema that is older or newer than this program's.
async fn check_version(conn: &mut Connection, migrations: Migrations) -> Step<()> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    match found(conn).await? {
        found if found < known => Err(Error::SchemaOlder { found, known }.into()),
        found if found > known => Err(Error::SchemaNewer { found, known }.into()),
        _ => Ok(()),
    }
}

/// Refuses a schema that is older than this program's. To a program that runs already one that became
/// newer is as good: a release's migrations leave the schema usable by the release before.
pub(super) async fn refuse_older(conn: &mut Connection) -> Step<()> {
    let migrations = match conn {
        #[cfg(feature = "sqlite")]
        Connection::Sqlite(_) => super::sqlite::MIGRATIONS,
        #[cfg(feature = "postgres")]
        Connection::Postgres(_) => super::postgres::MIGRATIONS,
    };
    match check_version(conn, migrations).await {
        Err(Fault::Refused(Error::SchemaNewer { .. })) => Ok(()),
        outcome => outcome,
    }
}

/// The newest migration applied; 0 for an empty database.
async fn found(conn: &mut Connection) -> Step<i64> {
    const NEWEST: &str = "SELECT coalesce(max(version), 0) AS newest FROM _sqlx_migrations";
    if !has_table(conn, "_sqlx_migrations").await? {
        return Ok(0);
    }
    Ok(query(NEWEST).fetch_one(conn).await?.get("newest")?)
}

/// Whether the database has a table of that name.
pub(super) async fn has_table(conn: &mut Connection, name: &str) -> Step<bool> {
    const IS_THERE: Sql = Sql {
        sqlite: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1",
        postgres: "SELECT 1 WHERE to_regclass($1) IS NOT NULL",
    };
    let table = query(IS_THERE).bind(name).fetch_optional(conn).await?;
    Ok(table.is_some())
}
