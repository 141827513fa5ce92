//! PostgreSQL keeps the traits' contract. `IDENTITY_POSTGRES` and `TEST_DATABASE_URL` say where.

#![cfg(feature = "postgres")]
#![expect(
    clippy::unwrap_used,
    reason = "a store that cannot be made is the report"
)]

mod together;

use std::sync::LazyLock;

use identity_store::{Crypter, DataKey, Migrate, PoolOptions, SqlStore};
use postgres_cluster::{Database, Server};

static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::first);

/// An empty store in a database of its own.
async fn store() -> (SqlStore, Database) {
    let database = SERVER.as_ref().unwrap().database();
    let crypter = Crypter::new(vec![DataKey::new("test", [7; 32]).unwrap()]).unwrap();
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    let pool = PoolOptions {
        max_connections: 4,
        ..PoolOptions::default()
    };
    let store = SqlStore::open(database.url(), &pool, crypter, entropy, Migrate::Auto);
    (store.await.unwrap(), database)
}

identity_store::conformance_tests!(store());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_paired_together_and_each_gets_its_own_answer() {
    let (store, _database) = store().await;
    together::devices_are_paired_together_and_each_gets_its_own_answer(&store).await;
}
