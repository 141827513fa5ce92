//! Brings a file up while other processes may do the same.

use sqlx::sqlite::SqliteConnectOptions;

use super::{Held, MIGRATIONS};
use super::{connect, seal, writer};
use crate::sql::connection::Connection;
use crate::sql::encrypted::Sealer;
use crate::sql::fault::Fault;
use crate::sql::schema::{self, Migrate};
use crate::{Error, Result};

/// How often opening is tried while another process brings the same database up. Each try waits for
/// the lock as long as a transaction does.
const TRIES: u32 = 30;

/// Applies what is missing or refuses a schema that is not this program's.
pub(super) async fn bring_up(
    options: SqliteConnectOptions,
    migrate: Migrate,
    sealer: Option<Sealer<'_>>,
) -> Result<()> {
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
) -> Result<()> {
    let run = async {
        let pool = connect::migrating(options).await?;
        let begun = pool.begin_with(writer::BEGIN).await?;
        let mut connection = Connection::Sqlite(Held::Migration(begun));
        schema::bring_up(&mut connection, MIGRATIONS, migrate, sealer).await?;
        connection.commit().await?;
        seal::scrub(&pool).await?;
        pool.close().await;
        Ok(())
    };
    run.await.map_err(|fault: Fault| fault.named("migrate"))
}
