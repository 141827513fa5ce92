//! Brings a file up while other processes may do the same.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::Held;
use super::{connect, seal};
use crate::sql::connection::Connection;
use crate::sql::encrypted::Sealer;
use crate::sql::fault::Fault;
use crate::sql::schema::{self, Migrate};
use crate::{Error, Result};

/// How often opening is tried while another process brings the same database up. Each try waits for
/// the lock as long as a transaction does.
const TRIES: u32 = 30;

/// Connects the writer, and applies what is missing or refuses a schema that is not this program's.
pub(super) async fn bring_up(
    options: SqliteConnectOptions,
    migrate: Migrate,
    sealer: Option<Sealer<'_>>,
) -> Result<SqlitePool> {
    let mut tries = 1;
    loop {
        match connect_and_apply(options.clone(), migrate, sealer).await {
            Err(Error::Busy { .. }) if tries < TRIES => tries += 1,
            Err(Error::Busy { transaction, .. }) => {
                return Err(Error::Busy { transaction, tries });
            }
            outcome => return outcome,
        }
    }
}

async fn connect_and_apply(
    options: SqliteConnectOptions,
    migrate: Migrate,
    sealer: Option<Sealer<'_>>,
) -> Result<SqlitePool> {
    let run = async {
        let writer = connect::writer(options).await?;
        // sqlx's own migration lock does nothing on SQLite; the write lock is one.
        let begun = writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut connection = Connection::Sqlite(Held::Transaction(begun));
        schema::bring_up(&mut connection, migrate, sealer).await?;
        connection.commit().await?;
        seal::scrub(&writer).await?;
        Ok(writer)
    };
    run.await.map_err(|fault: Fault| fault.named("migrate"))
}
