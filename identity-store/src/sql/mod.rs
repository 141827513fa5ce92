//! SQLite and PostgreSQL: one back end, whose statements both databases read.
//!
//! Every statement is a constant. Where the databases say a thing differently it stands in the words
//! of each (`query::Sql`). What differs beyond words is in `sqlite` and `postgres`: how
//! a database is opened and brought up, and how its processes hear of one another.

mod attempts;
mod audit;
mod audit_archive;
mod audit_list;
mod backchannel;
mod cancel;
mod candidates;
mod certificates;
mod challenge_erasure;
mod challenge_rows;
mod challenges;
mod clients;
mod column;
mod connection;
mod consents;
mod contact;
mod data_keys;
mod database;
mod deliveries;
mod denied;
mod device_policy;
mod device_rows;
mod device_work;
mod devices;
mod encrypted;
mod erasures;
mod expiry_alerts;
mod fan_out;
mod fault;
mod group;
mod idempotency;
mod jobs;
mod leases;
mod ledger;
mod lock;
mod lost_secrets;
mod named_secrets;
mod operator_recovery;
mod operators;
mod page;
mod pair_group;
mod pairing;
mod personal;
mod post;
mod post_all;
#[cfg(feature = "postgres")]
mod postgres;
mod purge;
mod query;
mod rate_limits;
mod renewal_graces;
mod rotation;
mod row;
mod schema;
mod seal;
mod second_factor;
mod secrets;
mod seen;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tenants;
#[cfg(test)]
mod tests;
mod token_keys;
mod tokens;
mod tx;
mod user_erasures;
mod user_rows;
mod users;
mod webhook_rows;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rand_core::CryptoRng;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub use database::PoolOptions;
#[cfg(all(feature = "postgres", feature = "testing"))]
pub use postgres::testing as postgres_testing;
pub use rotation::{Rotation, RotationProgress};
pub use schema::Migrate;

use crate::crypter::LookupKey;
use crate::observer::{Observed, Observers};
use crate::posting::Entropy;
use crate::{
    Crypter, Device, NamedSecret, Notice, Origin, Result, Store, StoreObserver, Unreadable,
};
use database::Database;
use encrypted::Sealer;
use group::Group;
use query::query;
use tx::Isolation;

/// How long a store waits at its end for what is under way. A database that does not answer by then is
/// left: what was not answered may be committed, or not.
const CLOSING: Duration = Duration::from_secs(5);

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
    /// Keys the digests of console users' addresses, if it can be read.
    addresses: Result<Arc<LookupKey>, Unreadable>,
    pairings: Group<pair_group::Request, Option<Device>>,
    look_ups: Group<candidates::LookUp, candidates::Found>,
}

/// What transactions share.
#[derive(Debug)]
struct Shared {
    database: Database,
    crypter: Crypter,
    entropy: Entropy,
    tries: u32,
    observers: Arc<Observers>,
    /// Whether the database failed in a transaction since it was last seen to take a write.
    failed: AtomicBool,
    /// The transactions under way, also those whose callers went away.
    transactions: TaskTracker,
    /// Whether each transaction is done and rolled back before it is done.
    #[cfg(test)]
    rehearses: AtomicBool,
}

impl Shared {
    /// What encrypts columns.
    fn sealer(&self) -> Sealer<'_> {
        Sealer {
            crypter: &self.crypter,
            entropy: &self.entropy,
        }
    }

    /// Tells this process and the others what was committed.
    fn tell(&self, notices: Vec<Notice>) {
        for notice in &notices {
            self.observers.noticed(notice, Origin::Here);
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
    /// [`Error::Unreachable`](crate::Error::Unreachable), [`Error::Busy`](crate::Error::Busy) and [`Error::Backend`](crate::Error::Backend).
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
        let sealer = Sealer {
            crypter: &crypter,
            entropy: &entropy,
        };
        let database = Database::open(database_url, pool, migrate, observed, sealer).await?;
        Self::over(database, observers, crypter, entropy, TRIES).await
    }

    async fn over(
        database: Database,
        observers: Arc<Observers>,
        crypter: Crypter,
        entropy: Entropy,
        tries: u32,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            database,
            crypter,
            entropy,
            tries,
            observers,
            failed: AtomicBool::new(false),
            transactions: TaskTracker::new(),
            #[cfg(test)]
            rehearses: AtomicBool::new(false),
        });
        let isolation = Isolation::Serializable;
        let admitted = shared.run_tx("admit_data_keys", isolation, |tx| {
            Box::pin(async move {
                let (conn, sealer) = tx.conn_and_sealer();
                data_keys::admit(conn, sealer).await
            })
        });
        let addresses = admitted.await?.map(Arc::new);
        let (pairs, looks_up) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            pairings: Group::start(move |group| pair_group::pair_group(Arc::clone(&pairs), group)),
            look_ups: Group::start(move |group| {
                candidates::look_up_group(Arc::clone(&looks_up), group)
            }),
            shared,
            addresses,
        })
    }

    /// Brings the database that `database_url` names to the newest schema. Running it again, or twice
    /// at once, changes nothing; processes that use the database go on meanwhile. The crypter encrypts
    /// what earlier versions stored in the open: a SQLite database of theirs needs one.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Error::Key`](crate::Error::Key) if there is something to encrypt and
    /// no crypter.
    pub async fn migrate(
        database_url: &str,
        crypter: Option<&Crypter>,
        rng: impl CryptoRng + Send + 'static,
    ) -> Result<()> {
        let entropy = Entropy::new(rng);
        let sealer = crypter.map(|crypter| Sealer {
            crypter,
            entropy: &entropy,
        });
        Database::migrate(database_url, sealer).await
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
    /// What digests console users' addresses.
    fn addresses(&self) -> Result<&LookupKey> {
        let lost = |why: &Unreadable| named_secrets::unreadable(NamedSecret::EmailDigestKey, *why);
        self.addresses.as_deref().map_err(lost)
    }

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
        self.read("check", async |conn| schema::refuse_older(conn).await)
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
        let closing = async {
            self.shared.transactions.close();
            self.shared.transactions.wait().await;
            self.shared.database.close().await;
        };
        if timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("the database was left without an answer to what was under way");
        }
    }
}
