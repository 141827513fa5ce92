//! Databases of earlier versions, which held names and addresses in the open.

use sqlx::{AssertSqlSafe, Executor as _};

use super::{File, NOW, acme, entropy, holds, keyed};
use crate::crypter::DataKey;
use crate::posting::Entropy;
use crate::sql::encrypted::{self, RowKey, Sealer};
use crate::sql::schema;
use crate::sql::sqlite::{ENCRYPTED_COLUMNS, MIGRATIONS};
use crate::{
    Crypter, Error, OperatorStore as _, PageRequest, SessionTokenHash, SqlStore, Store as _,
    UserStore as _,
};

const USERS: usize = 2500;

/// A database of the last version before columns were encrypted, under the data key `k1`.
async fn earlier(file: &File) {
    let version = schema::version_of(ENCRYPTED_COLUMNS, MIGRATIONS) - 1;
    let pool = file.make_version(version).await;
    let (crypter, entropy) = (keyed(&[1]), Entropy::new(entropy()));
    let sealer = Sealer {
        crypter: &crypter,
        entropy: &entropy,
    };
    let pepper = RowKey::Texts("pairing_pepper".to_owned(), String::new());
    let pepper = encrypted::PLATFORM_SECRET.encrypt(sealer, &pepper, b"pepper");
    let secret = "INSERT INTO platform_secrets (kind, fingerprint, position, secret, uploaded_by)
                  VALUES ('pairing_pepper', '', 1, ?1, '')";
    let secret = sqlx::query(secret).bind(pepper.unwrap());
    secret.execute(&pool).await.unwrap();
    let users = format!(
        "INSERT INTO tenants VALUES ('acme', 'Acme', 'active', '{{}}', 0);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})
         INSERT INTO users (tenant_id, user_id, internal_id, display_name, email, mobile, suspended,
             consent_status, kyc_status, palm_policy, consecutive_failures, created_at)
         SELECT 'acme', 'user' || i, 'usr_01j000000000000000000' || printf('%05d', i),
             'Canary Name ' || i, CASE WHEN i % 2 THEN 'user' || i || '@canary.example' END,
             NULL, 0, 'none', 'none',
             '{{\"allowed_types\":[\"left\"],\"verification_enabled\":true}}', 0, i FROM n;
         INSERT INTO console_users VALUES ('adm_01j00000000000000000000001', NULL,
             'root@canary.example', 'platform_admin', 'hash', 0, 0);
         INSERT INTO console_sessions VALUES ('ses_01j00000000000000000000001',
             'adm_01j00000000000000000000001', x'{:064}', 0, 4000000000000, 4000000000001);
         INSERT INTO login_failures VALUES ('eve@canary.example', {ms}), ('eve@canary.example', {ms}),
             ('root@canary.example', 0);
         -- Pages that are free, and still hold what they held.
         DELETE FROM users WHERE user_id LIKE 'user1%'",
        7,
        ms = NOW.unix_timestamp() * 1000,
    );
    pool.execute(AssertSqlSafe(users)).await.unwrap();
    pool.close().await;
    assert!(holds(&file.bytes(), "Canary Name 2") && holds(&file.bytes(), "eve@canary.example"));
}

#[tokio::test]
async fn what_lay_in_the_open_is_encrypted_and_leaves_the_file() {
    let file = File::new();
    earlier(&file).await;
    let store = file.open_with(&[1]).await.unwrap();
    for canary in ["Canary Name", "@canary.example"] {
        assert!(!holds(&file.bytes(), canary), "{canary}");
    }

    let users = store.users(&acme(), PageRequest::first(200)).await.unwrap();
    for user in &users.data {
        let number: usize = user.user_id.as_str()[4..].parse().unwrap();
        assert_eq!(user.display_name, Some(format!("Canary Name {number}")));
        let email = (number % 2 == 1).then(|| format!("user{number}@canary.example"));
        assert_eq!((user.email.clone(), user.mobile.clone()), (email, None));
    }
    assert_eq!(users.data.len(), 200);
    let root = store.operator_by_email("root@canary.example").await;
    let root = root.unwrap().unwrap();
    assert_eq!(root.email.as_deref(), Some("root@canary.example"));
    let failures = store.login_failures("eve@canary.example", NOW).await;
    assert_eq!(failures.unwrap().count, 2);
    let mut token = [0; 32];
    token[31] = 7;
    let session = store.use_session(&SessionTokenHash(token), NOW, NOW).await;
    assert_eq!(session.unwrap().unwrap().operator, root);
    store.close().await;
    assert!(!holds(&file.bytes(), "Canary Name") && !holds(&file.bytes(), "@canary.example"));
    file.open_with(&[1]).await.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn with_a_wrong_data_key_or_none_it_stays_as_it_was() {
    let file = File::new();
    earlier(&file).await;
    let none = SqlStore::migrate(&file.url(), None, entropy()).await;
    let none = none.unwrap_err();
    assert!(matches!(none, Error::Key(_)), "{none}");
    let wrong = file.open_with(&[3]).await.unwrap_err().to_string();
    assert!(
        wrong.contains("platform_secrets.secret of pairing_pepper"),
        "{wrong}"
    );
    let same_id = Crypter::new(vec![DataKey::new("k1", [3; 32]).unwrap()]).unwrap();
    let wrong = SqlStore::migrate(&file.url(), Some(&same_id), entropy()).await;
    assert!(matches!(wrong.unwrap_err(), Error::Decrypt { .. }));
    let mut raw = file.raw().await;
    let newest = "SELECT max(version) FROM _sqlx_migrations";
    let newest: i64 = sqlx::query_scalar(newest)
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(
        newest,
        schema::version_of(ENCRYPTED_COLUMNS, MIGRATIONS) - 1
    );
    let names = "SELECT count(*) FROM users WHERE display_name LIKE 'Canary Name%'";
    let names: i64 = sqlx::query_scalar(names).fetch_one(&mut raw).await.unwrap();
    assert!(names > 1000);

    SqlStore::migrate(&file.url(), Some(&keyed(&[1])), entropy())
        .await
        .unwrap();
    assert!(!holds(&file.bytes(), "Canary Name"));
}

#[tokio::test]
async fn a_file_that_was_not_rebuilt_is_rebuilt_at_the_next_start() {
    let file = File::new();
    earlier(&file).await;
    file.open_with(&[1]).await.unwrap().close().await;
    // As after an end between the migration and the rebuilding: free pages with text in them.
    let mut raw = file.raw().await;
    let left = "CREATE TABLE left_over (text TEXT) STRICT;
                INSERT INTO left_over VALUES ('Canary Name in a free page');
                DROP TABLE left_over;
                PRAGMA user_version = 1";
    raw.execute(left).await.unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    assert!(holds(&file.bytes(), "Canary Name"));
    file.open_with(&[1]).await.unwrap().close().await;
    assert!(!holds(&file.bytes(), "Canary Name"));
    let mut raw = file.raw().await;
    let due: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(due, 0);
}
