//! SQLite and PostgreSQL: one back end, whose statements both databases read.
//!
//! Every statement is a constant. Where the databases say a thing differently it stands in the words
//! of each (`query::Sql`). What differs beyond words is in `sqlite` and `postgres`: how
//! a database is opened and brought up, and how its processes hear of one another.

mod attempts;
mod audit;
mod cancel;
mod certificates;
mod challenge_rows;
mod challenges;
mod clients;
mod column;
mod connection;
mod consents;
mod database;
mod denied;
mod device_rows;
mod devices;
mod erasures;
mod fault;
mod idempotency;
mod leases;
mod lock;
mod operators;
mod pair_group;
mod pairing;
mod post;
mod post_all;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod rate_limits;
mod row;
mod schema;
mod secrets;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tenants;
#[cfg(test)]
mod tests;
mod tx;
mod user_rows;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rand_core::CryptoRng;
use tokio_util::task::TaskTracker;

pub use database::PoolOptions;
pub use schema::Migrate;

use crate::observer::{Observed, Observers};
use crate::posting::Entropy;
use crate::{Crypter, Notice, Result, Store, StoreObserver};
use database::Database;
use pair_group::PairingQueue;
use query::query;
use tx::Isolation;

/// How often a transaction is tried that meets another.
const TRIES: u32 = 10;

/// A store in a SQLite file or in a PostgreSQL database.
///
/// ```no_run
/// use identity_store::{Crypter, Migrate, PoolOptions, SqlStore};
/// # async fn open(keys: &str, rng: impl rand_core::CryptoRng + Send + 'static) -> identity_store::Result<()> {
/// let (url, crypter) = ("sqlite://identity.db", Crypter::parse(keys)?);
/// let store = SqlStore::open(url, &PoolOptions::default(), crypter, rng, Migrate::Auto).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqlStore {
    shared: Arc<Shared>,
}

/// What transactions share.
#[derive(Debug)]
struct Shared {
    database: Database,
    crypter: Crypter,
    entropy: Entropy,
    tries: u32,
    observers: Arc<Observers>,
    pairings: PairingQueue,
    /// Whether the database failed in a transaction since it was last seen to take a write.
    failed: AtomicBool,
    /// The transactions under way, also those whose callers went away.
    transactions: TaskTracker,
}

impl Shared {
    /// Tells this process and the others what was committed.
    fn tell(&self, notices: Vec<Notice>) {
        for notice in &notices {
            self.observers.noticed(notice);
        }
        self.database.announce(notices);
    }
}

impl SqlStore {
    /// Opens the database that `database_url` names: `sqlite://PATH`, which is made if it is not
    /// there, or `postgres://…`. `rng` gives the ids of audit rows and events and the nonces of
    /// ciphertexts.
    ///
    /// # Errors
    ///
    /// [`Error::Url`](crate::Error::Url); [`Error::SchemaNewer`](crate::Error::SchemaNewer);
    /// [`Error::SchemaOlder`](crate::Error::SchemaOlder) with [`Migrate::Off`];
    /// [`Error::Busy`](crate::Error::Busy) and [`Error::Backend`](crate::Error::Backend).
    pub async fn open(
        database_url: &str,
        pool: &PoolOptions,
        crypter: Crypter,
        rng: impl CryptoRng + Send + 'static,
        migrate: Migrate,
    ) -> Result<Self> {
        let (observers, entropy) = (Arc::new(Observers::default()), Entropy::new(rng));
        let observed = Observed {
            observers: Arc::clone(&observers),
            process: entropy.with(|rng| rng.next_u64()),
        };
        let database = Database::open(database_url, pool, migrate, observed).await?;
        Ok(Self::over(database, observers, crypter, entropy, TRIES))
    }

    fn over(
        database: Database,
        observers: Arc<Observers>,
        crypter: Crypter,
        entropy: Entropy,
        tries: u32,
    ) -> Self {
        let shared = Shared {
            database,
            crypter,
            entropy,
            tries,
            observers,
            pairings: PairingQueue::default(),
            failed: AtomicBool::new(false),
            transactions: TaskTracker::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Brings the database that `database_url` names to the newest schema. Running it again, or twice
    /// at once, changes nothing; processes that use the database go on meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn migrate(database_url: &str) -> Result<()> {
        Database::migrate(database_url).await
    }
}

/// A write that leaves nothing. SQLite would not write a value in its own place.
const WRITE: &str = "
    INSERT INTO idempotent_answers (request_key, body_sha256, lease_until, keep_until)
    VALUES ($1, $1, 0, 0)";
const TAKE_BACK: &str = "DELETE FROM idempotent_answers WHERE request_key = $1";
/// No request's key, which have 32 bytes.
const NO_KEY: &[u8] = b"check";

impl SqlStore {
    /// Whether the database takes writes again: one whose disk is full, or a standby, can be read.
    async fn check_write(&self) -> Result<()> {
        self.run_tx("check", Isolation::ReadCommitted, |tx| {
            Box::pin(async move {
                query(WRITE).bind(NO_KEY).execute(tx.conn()).await?;
                query(TAKE_BACK).bind(NO_KEY).execute(tx.conn()).await?;
                Ok(())
            })
        })
        .await
    }
}

#[async_trait]
impl Store for SqlStore {
    fn is_shared(&self) -> bool {
        self.shared.database.is_shared()
    }

    async fn check(&self) -> Result<()> {
        self.read("check", async |conn| schema::check_version(conn).await)
            .await?;
        if self.shared.failed.load(Ordering::Relaxed) {
            self.check_write().await?;
            self.shared.failed.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn observe(&self, observer: Arc<dyn StoreObserver>) {
        self.shared.observers.add(observer);
    }

    async fn close(&self) {
        self.shared.transactions.close();
        self.shared.transactions.wait().await;
        self.shared.database.close().await;
    }
}
