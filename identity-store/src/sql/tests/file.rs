use super::{File, NOW, acme, change, close, holds, pairing, scanner, waiting_device};
use crate::sql::SqlStore;
use crate::{
    AuditStore as _, CaOrigin, CaRecord, CaState, Chain, ComparedKey, DeviceStatus,
    DeviceStore as _, Error, IdempotencyKey, IdempotencyStore as _, NamedSecret, PrivateKeyPem,
    Reservation, SecretBytes, SecretStore as _, ServerCertRecord, Store as _, StoredAnswer,
    TenantStore as _,
};
use identity_pki::{Fingerprint, SpkiSha256};
use time::Duration;

const CA_KEY: &str = "canary-of-the-ca-key";
const SERVER_KEY: &str = "canary-of-the-server-key";
const PEPPER: &str = "canary-of-the-pepper";
const ANSWER: &str = "canary-of-an-answer";
const KEY: IdempotencyKey = IdempotencyKey([9; 32]);

/// Stores one of everything that is encrypted.
async fn store_secrets(store: &SqlStore) {
    let ca = CaRecord {
        fingerprint: Fingerprint::from_bytes([3; 32]),
        certificate_pem: "-----BEGIN CERTIFICATE-----\nca\n".to_owned(),
        state: CaState::Active,
        not_after: NOW + Duration::days(3650),
        created_at: NOW,
    };
    let key = PrivateKeyPem::new(CA_KEY);
    store
        .add_ca(change(), ca, key, CaOrigin::Generated)
        .await
        .unwrap();
    let cert = ServerCertRecord {
        fingerprint: Fingerprint::from_bytes([4; 32]),
        chain_pem: "-----BEGIN CERTIFICATE-----\nserver\n".to_owned(),
        not_after: NOW + Duration::days(90),
    };
    let key = PrivateKeyPem::new(SERVER_KEY);
    let compared = ComparedKey {
        spki_sha256: SpkiSha256::from_bytes([5; 32]),
        with: [Fingerprint::from_bytes([3; 32])].into(),
    };
    assert!(
        store
            .put_server_cert(change(), cert, compared, key)
            .await
            .unwrap()
    );
    let fresh = SecretBytes::new(PEPPER.as_bytes());
    let named = store.named_secret(NamedSecret::PairingPepper, fresh);
    assert_eq!(named.await.unwrap().expose(), PEPPER.as_bytes());
    let until = NOW + Duration::hours(24);
    let reserved = store
        .reserve(KEY, [5; 32], NOW, until, until)
        .await
        .unwrap();
    assert_eq!(reserved, Reservation::Fresh);
    let answer = StoredAnswer {
        key: KEY,
        lease_until: until,
        status: 201,
        body: ANSWER.into(),
    };
    let renamed = store.create_tenant(change().answering(answer), acme(), "Acme".to_owned());
    renamed.await.unwrap();
}

#[tokio::test]
async fn no_key_no_secret_and_no_answer_lies_open_in_the_file() {
    let file = File::new();
    let store = file.open().await;
    store_secrets(&store).await;
    // Both while the log is there and after it was folded into the database.
    for bytes in [file.bytes(), {
        store.close().await;
        file.bytes()
    }] {
        assert!(holds(&bytes, "platform_secrets") && holds(&bytes, "Acme"));
        for canary in [CA_KEY, SERVER_KEY, PEPPER, ANSWER] {
            assert!(!holds(&bytes, canary), "{canary}");
        }
    }
}

#[tokio::test]
async fn a_restart_reads_everything_back() {
    let file = File::new();
    let store = file.open().await;
    store_secrets(&store).await;
    let before = store.chain_head(&Chain::Platform).await.unwrap();
    assert!(store.seal_audit(100).await.unwrap().rows > 0);
    store.close().await;

    let store = file.open().await;
    let ca = store.cas().await.unwrap().remove(0).fingerprint;
    let cert = store.server_cert().await.unwrap().unwrap().fingerprint;
    for (certificate, key) in [(ca, CA_KEY), (cert, SERVER_KEY)] {
        let stored = store.private_key(&certificate).await.unwrap();
        assert_eq!(stored.unwrap().expose(), key);
    }
    let other = SecretBytes::new(*b"made by a later start");
    let pepper = store.named_secret(NamedSecret::PairingPepper, other);
    assert_eq!(pepper.await.unwrap().expose(), PEPPER.as_bytes());
    let again = store.reserve(KEY, [5; 32], NOW, NOW, NOW).await.unwrap();
    assert!(matches!(again, Reservation::Answered(answer) if answer.body == ANSWER.as_bytes()));
    let head = store.chain_head(&Chain::Platform).await.unwrap();
    assert!(head.length > before.length);
    assert!(store.tenant(&acme()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_device_survives_a_restart_with_its_certificate() {
    let file = File::new();
    let store = file.open().await;
    waiting_device(&store).await.unwrap();
    let paired = pairing(1);
    store.pair_device(change(), paired.clone()).await.unwrap();
    let before = store.device(&scanner(), NOW).await.unwrap().unwrap();
    store.close().await;

    let store = file.open().await;
    let device = store.device(&scanner(), NOW).await.unwrap().unwrap();
    assert_eq!(device, before);
    assert_eq!(device.status, DeviceStatus::Paired);
    assert_eq!(device.certificate, Some(paired.certificate));
}

#[tokio::test]
async fn a_ciphertext_that_was_moved_to_another_row_does_not_open() {
    let file = File::new();
    let store = file.open().await;
    store_secrets(&store).await;
    let mut raw = file.raw().await;
    let swap = "UPDATE platform_secrets SET secret =
                  (SELECT secret FROM platform_secrets WHERE kind = 'platform_ca')
                WHERE kind = 'server_cert'";
    let swapped = sqlx::query(swap).execute(&mut raw).await.unwrap();
    assert_eq!(swapped.rows_affected(), 1);
    let cert = store.server_cert().await.unwrap().unwrap();
    let refused = store.private_key(&cert.fingerprint).await.unwrap_err();
    assert!(matches!(refused, Error::Decrypt { .. }), "{refused:?}");
    let ca = store.cas().await.unwrap().remove(0);
    assert!(store.private_key(&ca.fingerprint).await.is_ok());
    close(store, raw).await;
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_named_and_not_guessed() {
    let file = File::new();
    let store = file.open().await;
    waiting_device(&store).await.unwrap();
    let mut raw = file.raw().await;
    for (statement, column) in [
        ("UPDATE devices SET tags = 'no json'", "tags"),
        (
            "UPDATE devices SET tags = '{}', bound_product = 'wallet'",
            "bound_product",
        ),
        (
            "UPDATE devices SET device_class = 'toaster'",
            "device_class",
        ),
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
        let error = store.device(&scanner(), NOW).await.unwrap_err();
        assert!(
            matches!(&error, Error::Corrupt { table: "devices", column: found } if *found == column),
            "{error:?}"
        );
    }
    close(store, raw).await;
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_but_its_owner_reads_the_database_or_its_log() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = File::new();
    let store = file.open().await;
    waiting_device(&store).await.unwrap();
    for name in ["identity.db", "identity.db-wal"] {
        let path = file.path().with_file_name(name);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
