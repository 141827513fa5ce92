use std::path::Path;

use identity_store::{Crypter, Migrate, PoolOptions, SqlStore};

/// A handle of its own to a server's embedded database.
pub async fn embedded_store(database: &Path, crypter: Crypter) -> SqlStore {
    let url = format!("sqlite://{}", database.display());
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    let pool = PoolOptions::default();
    let store = SqlStore::open(&url, &pool, crypter, entropy, Migrate::Off).await;
    store.expect("the database opens")
}

/// The data key that a server made beside its embedded database.
pub fn key_beside(database: &Path) -> Crypter {
    let key = std::fs::read_to_string(database.with_extension("db.key")).expect("a key");
    Crypter::parse(key.trim()).expect("a key")
}
