//! What is SQLite's own: the file, its locks, its schema. The traits' contract is the conformance
//! suite's.

#![cfg(feature = "sqlite")]

mod audit;
mod concurrency;
mod data_keys;
mod file;
mod open_columns;
mod plans;
mod schema;
pub(super) mod statements;
mod tenancy;
pub(super) mod twice;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{
    DeviceId, DeviceIdentity, Fingerprint, PairingCodeHash, SerialNumber, SpkiSha256, TbsSha256,
    TenantId,
};
use rand_core::CryptoRng;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use super::connection::Connection;
use super::database::Database;
use super::encrypted::Sealer;
use super::schema as schema_of;
use super::sqlite::Held;
use super::sqlite::{self, SqliteDatabase};
use super::{Migrate, PoolOptions, SqlStore};
use crate::posting::Entropy;
use crate::{
    Actor, CertificateRecord, Change, Crypter, DataKey, DeviceInfo, DeviceStore as _, NewDevice,
    PairDevice, PairingOffer, Result, Store as _, TenantStore as _,
};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

fn entropy() -> impl CryptoRng + Send + 'static {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn crypter(key: u8) -> Crypter {
    Crypter::new(vec![DataKey::new("test", [key; 32]).unwrap()]).unwrap()
}

fn keyed(keys: &[u8]) -> Crypter {
    let key = |byte: &u8| DataKey::new(format!("k{byte}"), [*byte; 32]).unwrap();
    Crypter::new(keys.iter().map(key).collect()).unwrap()
}

/// A database file in a directory that goes with the test.
struct File {
    directory: TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("identity.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    async fn open(&self) -> SqlStore {
        self.try_open(Migrate::Auto).await.unwrap()
    }

    /// A store with these data keys, each under the id `k` and its byte.
    async fn open_with(&self, keys: &[u8]) -> Result<SqlStore> {
        let pool = PoolOptions::default();
        SqlStore::open(&self.url(), &pool, keyed(keys), entropy(), Migrate::Auto).await
    }

    async fn try_open(&self, migrate: Migrate) -> Result<SqlStore> {
        let pool = PoolOptions::default();
        SqlStore::open(&self.url(), &pool, crypter(7), entropy(), migrate).await
    }

    /// A store that gives up on a lock after two short tries.
    async fn open_impatient(&self) -> SqlStore {
        let options = sqlite::writer_options(self.path().to_str().unwrap());
        let options = options.busy_timeout(Duration::from_millis(20));
        let (crypter, entropy) = (crypter(7), Entropy::new(entropy()));
        let sealer = Sealer {
            crypter: &crypter,
            entropy: &entropy,
        };
        let database = SqliteDatabase::open(options, Migrate::Auto, sealer).await;
        let (database, observers) = (Database::Sqlite(database.unwrap()), Arc::default());
        let store = SqlStore::over(database, observers, crypter, entropy, 2);
        store.await.unwrap()
    }

    /// Makes a database of an earlier version.
    async fn make_version(&self, version: i64) -> SqlitePool {
        let options = sqlite::writer_options(self.path().to_str().unwrap());
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let begun = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let mut connection = Connection::Sqlite(Held::Migration(begun));
        schema_of::run(&mut connection, sqlite::MIGRATIONS, Some(version))
            .await
            .unwrap();
        connection.commit().await.unwrap();
        pool
    }

    /// A connection that is not the store's.
    async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        options.connect().await.unwrap()
    }

    /// Everything that lies in the directory: database, log and whatever else.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        files
            .flat_map(|entry| read(&entry.unwrap().path()))
            .collect()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    let canary = canary.as_bytes();
    bytes.windows(canary.len()).any(|window| window == canary)
}

fn change() -> Change {
    Change::new(NOW, Actor::System("test"), "req_test")
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn scanner() -> DeviceIdentity {
    DeviceIdentity::new(acme(), DeviceId::new("dev_1").unwrap())
}

const CODE: PairingCodeHash = PairingCodeHash::from_bytes([1; 32]);

/// A tenant with a device that waits to be paired with [`CODE`].
async fn waiting_device(store: &SqlStore) -> Result<()> {
    let named = store.create_tenant(change(), acme(), "Acme".to_owned());
    named.await?;
    let device = NewDevice {
        identity: scanner(),
        name: "Counter 1".to_owned(),
        location: None,
        binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
        tags: [("floor".to_owned(), "2".to_owned())].into(),
        pairing: PairingOffer {
            code_hash: CODE,
            expires_at: NOW + time::Duration::minutes(5),
        },
    };
    store.create_device(change(), device).await.map(|_| ())
}

/// A pairing of the waiting device by a key of its own.
fn pairing(key: u8) -> PairDevice {
    let mut rng = entropy();
    PairDevice {
        code_hash: CODE,
        certificate: CertificateRecord {
            identity: scanner(),
            serial: SerialNumber::generate(&mut rng),
            fingerprint: Fingerprint::from_bytes([key; 32]),
            tbs_sha256: TbsSha256::from_bytes([key; 32]),
            spki_sha256: SpkiSha256::from_bytes([key; 32]),
            ca_fingerprint: Fingerprint::from_bytes([200; 32]),
            not_before: NOW,
            not_after: NOW + time::Duration::days(90),
            pem: format!("-----BEGIN CERTIFICATE-----\n{key}\n"),
        },
        info: DeviceInfo::default(),
    }
}

/// Closes what a test opened, so that the file is whole.
async fn close(store: SqlStore, raw: SqliteConnection) {
    raw.close().await.unwrap();
    store.close().await;
}

/// The connections that read.
fn readers(store: &SqlStore) -> &SqlitePool {
    &database(store).readers
}

fn database(store: &SqlStore) -> &SqliteDatabase {
    match &store.shared.database {
        Database::Sqlite(database) => database,
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => panic!("these tests are SQLite's"),
    }
}
