use std::path::Path;

use identity_store::{
    Actor, Change, Crypter, InternalUserId, Migrate, NewUser, PoolOptions, SqlStore, UserStore,
};
use time::OffsetDateTime;

/// A handle of its own to a server's embedded database.
pub async fn embedded_store(database: &Path, crypter: Crypter) -> SqlStore {
    store_at(&format!("sqlite://{}", database.display()), crypter).await
}

/// A handle of its own to a server's database.
pub async fn store_at(url: &str, crypter: Crypter) -> SqlStore {
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    let pool = PoolOptions::default();
    let store = SqlStore::open(url, &pool, crypter, entropy, Migrate::Off).await;
    store.expect("the database opens")
}

/// The data key that a server made beside its embedded database.
pub fn key_beside(database: &Path) -> Crypter {
    let key = std::fs::read_to_string(database.with_extension("db.key")).expect("a key");
    Crypter::parse(key.trim()).expect("a key")
}

/// Puts `user0`, `user1` and so on into tenant `acme` beside its servers.
pub async fn add_users(store: &(impl UserStore + ?Sized), count: usize) {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    for number in 0..count {
        let now = OffsetDateTime::UNIX_EPOCH;
        let user = NewUser {
            tenant_id: "acme".parse().expect("an id"),
            user_id: format!("user{number}").parse().expect("an id"),
            internal_id: InternalUserId::generate(now, &mut rng),
            display_name: Some(format!("Name {number}")),
            email: Some(format!("user{number}@example.org")),
            mobile: None,
        };
        let change = Change::new(now, Actor::System("test"), "req");
        store.create_user(change, user).await.expect("a user");
    }
}
