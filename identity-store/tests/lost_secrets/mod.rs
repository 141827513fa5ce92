//! A database one of whose data keys is lost, while what it writes now is under another.

#![expect(
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

use identity_store::{
    Actor, AuditStore as _, Change, Conflict, Crypter, DataKey, Error, LeaseName, LeaseStore as _,
    LoginRefusal, Migrate, NamedSecret, NewOperator, Operator, OperatorEdit, OperatorId,
    OperatorStore as _, PageRequest, PasswordHash, PoolOptions, ReplicaId, Result, Role,
    SecretBytes, SecretStore as _, SqlStore, Store as _, Unreadable,
};
use rand_core::CryptoRng;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::signed_heads::seal_and_sign;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const EARLY: &str = "early@example.org";
const LATE: &str = "late@example.org";

fn entropy() -> impl CryptoRng + Send + 'static {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// A store with these data keys, each under the id `k` and its byte.
async fn open(url: &str, keys: &[u8]) -> SqlStore {
    let key = |byte: &u8| DataKey::new(format!("k{byte}"), [*byte; 32]).unwrap();
    let crypter = Crypter::new(keys.iter().map(key).collect()).unwrap();
    let pool = PoolOptions {
        max_connections: 2,
        ..PoolOptions::default()
    };
    let store = SqlStore::open(url, &pool, crypter, entropy(), Migrate::Auto);
    store.await.unwrap()
}

fn change() -> Change {
    Change::new(NOW, Actor::System("test"), "req_test")
}

fn fresh() -> SecretBytes {
    SecretBytes::new([9; 32])
}

async fn add_operator(store: &SqlStore, email: &str) -> Result<Operator> {
    let new = NewOperator {
        operator_id: OperatorId::generate(NOW, &mut entropy()),
        email: email.to_owned(),
        role: Role::PlatformAdmin,
        tenant_id: None,
        password: PasswordHash("hash".to_owned()),
    };
    store.create_operator(change(), new).await
}

fn moved(email: &str) -> OperatorEdit {
    OperatorEdit {
        email: Some(email.to_owned()),
        role: None,
    }
}

/// Every secret and an operator are under `k1`, which is lost afterwards, and an operator and the
/// signed head of a chain are not. Returns the id of the operator whose address is lost.
async fn lose_a_key(url: &str) -> OperatorId {
    let store = open(url, &[1]).await;
    for name in NamedSecret::ALL {
        store.named_secret(name, fresh()).await.unwrap();
    }
    let early = add_operator(&store, EARLY).await.unwrap();
    store.close().await;
    let store = open(url, &[2, 1]).await;
    add_operator(&store, LATE).await.unwrap();
    let failed = store.record_login_failure(change(), LATE, None, LoginRefusal::Credentials);
    failed.await.unwrap();
    seal_and_sign(&store).await;
    store.close().await;
    early.operator_id
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(answer: Result<T>, name: NamedSecret, how: Unreadable) {
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, Error::Decrypt { row, why, .. } if row == name.as_str() && *why == how),
        "{error:?}"
    );
}

pub(crate) async fn a_lost_secret_closes_what_needs_it_and_nothing_else(url: &str) {
    let early = lose_a_key(url).await;
    let store = open(url, &[2]).await;
    let how = Unreadable::NoDataKey;
    for name in NamedSecret::ALL {
        assert_lost(store.named_secret(name, fresh()).await, name, how);
    }
    let key = NamedSecret::EmailDigestKey;
    assert_lost(store.operator_by_email(LATE).await, key, how);
    assert_lost(store.login_failures(LATE, NOW).await, key, how);
    assert_lost(
        store
            .record_login_failure(change(), LATE, None, LoginRefusal::Credentials)
            .await,
        key,
        how,
    );
    assert_lost(add_operator(&store, "new@example.org").await, key, how);
    let edit = moved("new@example.org");
    assert_lost(
        store.update_operator(change(), &early, edit).await,
        key,
        how,
    );

    let operators = store.operators(PageRequest::first(9)).await.unwrap();
    assert_eq!(operators.data.len(), 2);
    assert!(store.operator(&early).await.unwrap().is_some());
    let deleted = store.delete_operator(change(), &early);
    deleted.await.unwrap();
    let rotation = store.rotate_keys(|_| {}).await.unwrap();
    assert_eq!((rotation.unreadable, rotation.stale), (4, 0));
    let named = NamedSecret::ALL.map(|name| {
        let name = name.as_str();
        format!("platform_secrets.secret of {name}/")
    });
    for name in named {
        assert!(rotation.unreadable_values.contains(&name), "{rotation:?}");
    }
    store.close().await;
}

pub(crate) async fn a_lost_secret_is_replaced_and_what_hangs_on_it_mended(url: &str) {
    let early = lose_a_key(url).await;
    let store = open(url, &[2]).await;
    let (replica, until) = (
        ReplicaId::generate(NOW, &mut entropy()),
        NOW + time::Duration::seconds(30),
    );
    let lease = store.acquire_lease(LeaseName::AuditSealer, &replica, NOW, until);
    let lease = lease.await.unwrap().unwrap();
    for name in NamedSecret::ALL {
        let served = store
            .replace_lost_secret(change(), name, fresh(), false)
            .await;
        let refused = matches!(served, Err(Error::Conflict(Conflict::Served)));
        assert!(refused, "{served:?}");
    }
    store.release_lease(&lease).await.unwrap();
    for name in NamedSecret::ALL {
        let not_found = store.replace_lost_secret(change(), name, fresh(), false);
        let not_found = not_found.await.unwrap();
        match name {
            NamedSecret::EmailDigestKey => assert_eq!(not_found, [early.as_str()]),
            _ => assert!(not_found.is_empty()),
        }
        let again = store
            .replace_lost_secret(change(), name, fresh(), false)
            .await;
        let refused = matches!(again, Err(Error::Conflict(Conflict::SecretNotLost)));
        assert!(refused, "{again:?}");
        let replaced = store.named_secret(name, SecretBytes::new(*b"other")).await;
        assert_eq!(replaced.unwrap().expose(), fresh().expose());
    }
    let chains = store.chains(None, 9).await.unwrap();
    assert!(chains.iter().all(|chain| chain.signed.is_none()));
    store.close().await;

    let store = open(url, &[2]).await;
    let late = store.operator_by_email(LATE).await.unwrap();
    assert_eq!(late.unwrap().email.as_deref(), Some(LATE));
    let failures = store.login_failures(LATE, OffsetDateTime::UNIX_EPOCH);
    assert_eq!(failures.await.unwrap().count, 0);
    assert_eq!(store.operator_by_email(EARLY).await.unwrap(), None);
    let edited = store.update_operator(change(), &early, moved(EARLY));
    edited.await.unwrap();
    let found = store.operator_by_email(EARLY).await.unwrap();
    assert_eq!(found.unwrap().operator_id, early);
    store.seal_audit(100).await.unwrap();
    let rows = store.sealed_audit(&identity_store::Chain::Platform, 0, 100);
    let rows = rows.await.unwrap();
    let replaced = rows
        .iter()
        .filter(|row| row.row.action == "platform_secret_replaced")
        .map(|row| row.row.subject.as_str());
    let names = NamedSecret::ALL.map(NamedSecret::as_str);
    assert_eq!(replaced.collect::<Vec<_>>(), names);
    store.close().await;
}

/// Makes every secret and an operator.
async fn make_all(url: &str) {
    let store = open(url, &[1]).await;
    // A first start that ended before it had made them all is gone on with.
    let pepper = store.named_secret(NamedSecret::PairingPepper, fresh());
    pepper.await.unwrap();
    store.close().await;
    let store = open(url, &[1]).await;
    for name in NamedSecret::ALL {
        store.named_secret(name, fresh()).await.unwrap();
    }
    add_operator(&store, LATE).await.unwrap();
    store.close().await;
}

/// `run` does behind the store's back what a statement says.
pub(crate) async fn a_secret_that_is_gone_is_not_made_anew_but_by_command(
    url: &str,
    mut run: impl AsyncFnMut(&str),
) {
    make_all(url).await;
    run("DELETE FROM platform_secrets WHERE fingerprint = ''").await;
    let store = open(url, &[1]).await;
    let how = Unreadable::Gone;
    for name in NamedSecret::ALL {
        assert_lost(store.named_secret(name, fresh()).await, name, how);
        assert_lost(store.known_secret(name).await, name, how);
    }
    let found = store.operator_by_email(LATE).await;
    assert_lost(found, NamedSecret::EmailDigestKey, how);
    for name in NamedSecret::ALL {
        let replaced = store.replace_lost_secret(change(), name, fresh(), false);
        assert!(replaced.await.unwrap().is_empty());
        let known = store.known_secret(name).await.unwrap();
        assert_eq!(known.unwrap().expose(), fresh().expose());
    }
    store.close().await;
    let store = open(url, &[1]).await;
    assert!(store.operator_by_email(LATE).await.unwrap().is_some());
    store.close().await;
}

/// `run` does behind the store's back what a statement says.
pub(crate) async fn a_secret_that_is_there_was_made_whatever_else_is_known(
    url: &str,
    mut run: impl AsyncFnMut(&str),
) {
    let forget = "DELETE FROM named_secrets";
    let gone = "DELETE FROM platform_secrets WHERE fingerprint = ''";
    // What is found is known from then on, and so is what is put in the place of what is lost.
    make_all(url).await;
    run(forget).await;
    let store = open(url, &[1]).await;
    for name in NamedSecret::ALL {
        store.named_secret(name, fresh()).await.unwrap();
    }
    run(gone).await;
    for name in NamedSecret::ALL {
        assert_lost(store.known_secret(name).await, name, Unreadable::Gone);
        let replaced = store.replace_lost_secret(change(), name, fresh(), false);
        replaced.await.unwrap();
    }
    store.close().await;
    open(url, &[2, 1]).await.close().await;
    run(forget).await;
    let store = open(url, &[2]).await;
    for name in NamedSecret::ALL {
        let replaced = store.replace_lost_secret(change(), name, fresh(), false);
        replaced.await.unwrap();
    }
    run(gone).await;
    for name in NamedSecret::ALL {
        let none = store.named_secret(name, fresh()).await;
        assert_lost(none, name, Unreadable::Gone);
    }
    store.close().await;
}

/// `run` does behind the store's back what a statement says.
pub(crate) async fn a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced(
    url: &str,
    mut run: impl AsyncFnMut(&str),
) {
    make_all(url).await;
    let swap = "UPDATE platform_secrets SET secret =
                  (SELECT secret FROM platform_secrets WHERE kind = 'pairing_pepper')
                WHERE kind = 'sample_digest_key'";
    run(swap).await;
    let store = open(url, &[1]).await;
    let name = NamedSecret::SampleDigestKey;
    let read = store.named_secret(name, fresh()).await;
    assert_lost(read, name, Unreadable::Altered);
    let pepper = store.known_secret(NamedSecret::PairingPepper).await;
    assert!(pepper.unwrap().is_some());
    let rotation = store.rotate_keys(|_| {}).await.unwrap();
    let named = "platform_secrets.secret of sample_digest_key/, which was altered";
    assert_eq!(rotation.unreadable_values, [named]);

    let refused = store.replace_lost_secret(change(), name, fresh(), false);
    let refused = refused.await.unwrap_err();
    let is_refused = matches!(refused, Error::Conflict(Conflict::SecretAltered));
    assert!(is_refused, "{refused:?}");
    let meant = store.replace_lost_secret(change(), name, fresh(), true);
    meant.await.unwrap();
    let replaced = store.known_secret(name).await.unwrap();
    assert_eq!(replaced.unwrap().expose(), fresh().expose());
    store.close().await;
}
