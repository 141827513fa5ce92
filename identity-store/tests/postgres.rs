//! PostgreSQL keeps the traits' contract. `IDENTITY_POSTGRES` and `TEST_DATABASE_URL` say where.

#![cfg(feature = "postgres")]
#![expect(
    clippy::unwrap_used,
    reason = "a store that cannot be made is the report"
)]

mod together;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use identity_pki::Fingerprint;
use identity_store::{
    Actor, Change, Crypter, DataKey, Migrate, Notice, Origin, PoolOptions, PrivateKeyPem,
    SecretStore as _, ServerCertRecord, SqlStore, Store as _, StoreObserver, Transaction,
    UnreadableValue,
};
use postgres_cluster::{Database, Server};
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::first);

/// An empty store in a database of its own.
async fn store() -> (SqlStore, Database) {
    let database = SERVER.as_ref().unwrap().database();
    (open(&database).await, database)
}

async fn open(database: &Database) -> SqlStore {
    let crypter = Crypter::new(vec![DataKey::new("test", [7; 32]).unwrap()]).unwrap();
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    let pool = PoolOptions {
        max_connections: 4,
        ..PoolOptions::default()
    };
    let store = SqlStore::open(database.url(), &pool, crypter, entropy, Migrate::Auto);
    store.await.unwrap()
}

identity_store::conformance_tests!(store());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_paired_together_and_each_gets_its_own_answer() {
    let (store, _database) = store().await;
    together::devices_are_paired_together_and_each_gets_its_own_answer(&store).await;
}

/// Passes on what it is told.
#[derive(Debug)]
struct Heard(UnboundedSender<(Notice, Origin)>);

impl StoreObserver for Heard {
    fn noticed(&self, notice: &Notice, origin: Origin) {
        self.0.send((notice.clone(), origin)).unwrap();
    }

    fn transaction_ended(&self, _transaction: &Transaction) {}

    fn unreadable(&self, _value: &UnreadableValue) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_heard_in_another_process_and_in_its_own_once() {
    let (here, database) = store().await;
    let elsewhere = open(&database).await;
    let ((own, mut told), (other, mut heard)) = (unbounded_channel(), unbounded_channel());
    here.observe(Arc::new(Heard(own)));
    elsewhere.observe(Arc::new(Heard(other)));
    let news = (Notice::Certificates, Origin::Elsewhere);
    let mut changes = 0;
    // The listener may be connecting still: what is told then is read, not heard.
    loop {
        changes += 1;
        assert!(changes < 200, "nothing is heard");
        let cert = ServerCertRecord {
            fingerprint: Fingerprint::from_bytes([changes; 32]),
            chain_pem: "leaf\n".to_owned(),
            not_after: OffsetDateTime::UNIX_EPOCH,
        };
        let change = Change::new(OffsetDateTime::UNIX_EPOCH, Actor::System("test"), "req");
        let key = PrivateKeyPem::new("key");
        here.put_server_cert(change, cert, key).await.unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(200), heard.recv());
        if soon
            .await
            .is_ok_and(|notice| notice.as_ref() == Some(&news))
        {
            break;
        }
    }
    here.close().await;
    let mut own = 0;
    while let Ok((notice, origin)) = told.try_recv() {
        if notice == Notice::Certificates {
            assert_eq!(origin, Origin::Here);
            own += 1;
        }
    }
    assert_eq!(own, changes);
}
