//! SQLite: the embedded back end.
//!
//! One connection writes, so that writers queue inside the process instead of meeting at the file's
//! lock; a pool of readers sees what was committed last. Every statement is a constant.

mod attempts;
mod audit;
mod cancel;
mod certificates;
mod challenge_rows;
mod challenges;
mod clients;
mod column;
mod connect;
mod consents;
mod device_rows;
mod devices;
mod fault;
mod idempotency;
mod migrate;
mod operators;
mod pairing;
mod post;
mod secrets;
mod sessions;
mod tenants;
#[cfg(test)]
mod tests;

mod tx;
mod user_rows;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use rand_core::CryptoRng;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio_util::task::TaskTracker;

pub use migrate::Migrate;

use crate::posting::Entropy;
use crate::{Crypter, Result, Store};
use fault::Fault;

/// How often a transaction is tried when another process holds the lock.
const TRIES: u32 = 5;

/// A store in one SQLite file.
///
/// ```no_run
/// use identity_store::{Crypter, Migrate, SqliteStore};
/// # async fn open(keys: &str, rng: impl rand_core::CryptoRng + Send + 'static) -> identity_store::Result<()> {
/// let crypter = Crypter::parse(keys)?;
/// let store = SqliteStore::open("sqlite://identity.db", crypter, rng, Migrate::Auto).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

/// What transactions share.
#[derive(Debug)]
struct Shared {
    writer: SqlitePool,
    readers: SqlitePool,
    crypter: Crypter,
    entropy: Entropy,
    tries: u32,
    /// The transactions under way, also those whose callers went away.
    transactions: TaskTracker,
}

impl SqliteStore {
    /// Opens the database that `database_url` names (`sqlite://PATH` or a path), and creates it if
    /// it is not there. `rng` gives the ids of audit rows and events and the nonces of ciphertexts.
    ///
    /// # Errors
    ///
    /// [`Error::Url`](crate::Error::Url); [`Error::SchemaNewer`](crate::Error::SchemaNewer);
    /// [`Error::SchemaOlder`](crate::Error::SchemaOlder) with [`Migrate::Off`];
    /// [`Error::Busy`](crate::Error::Busy) and [`Error::Backend`](crate::Error::Backend).
    pub async fn open(
        database_url: &str,
        crypter: Crypter,
        rng: impl CryptoRng + Send + 'static,
        migrate: Migrate,
    ) -> Result<Self> {
        let options = connect::writer_options(database_url)?;
        Self::open_with(options, crypter, rng, migrate, TRIES).await
    }

    async fn open_with(
        options: SqliteConnectOptions,
        crypter: Crypter,
        rng: impl CryptoRng + Send + 'static,
        migrate: Migrate,
        tries: u32,
    ) -> Result<Self> {
        let writer = migrate::bring_up(options.clone(), migrate).await?;
        let readers = connect::readers(options).await;
        let readers = readers.map_err(|error| Fault::from(error).named("open"))?;
        let shared = Shared {
            writer,
            readers,
            crypter,
            entropy: Entropy::new(rng),
            tries,
            transactions: TaskTracker::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Brings the database that `database_url` names to the newest schema, creating it if it is not
    /// there. Running it again, or twice at once, changes nothing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn migrate(database_url: &str) -> Result<()> {
        let options = connect::writer_options(database_url)?;
        migrate::bring_up(options, Migrate::Auto)
            .await?
            .close()
            .await;
        Ok(())
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> Result<()> {
        self.read("check", async |conn| migrate::check_version(conn).await)
            .await
    }

    async fn close(&self) {
        self.shared.transactions.close();
        self.shared.transactions.wait().await;
        // The writer last: the connection that closes last folds the log into the database.
        self.shared.readers.close().await;
        self.shared.writer.close().await;
    }
}
