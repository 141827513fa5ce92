//! What a lost, wrong or new data key does to a database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use identity_pki::Fingerprint;
use sqlx::{AssertSqlSafe, Row as _};

use super::{File, NOW, acme, change, close};
use crate::sql::encrypted::ALL;
use crate::{
    CaOrigin, CaRecord, CaState, Chain, Error, IdempotencyKey, IdempotencyStore as _, NamedSecret,
    NewOperator, NewTotp, NewUser, NewWebhook, Notice, Operator, OperatorId, OperatorStore as _,
    Origin, PageRequest, PasswordHash, PrivateKeyPem, Role, SecondFactorStore as _, SecretBytes,
    SecretStore as _, SqlStore, Store as _, StoreObserver, StoredAnswer, TenantStore as _, TotpId,
    Transaction, UnreadableValue, User, UserEdit, UserStore as _, WebhookSettings,
    WebhookStore as _,
};

const ROOT: &str = "root@example.org";
const WEBHOOK: &str = "whe_01j00000000000000000000001";

/// What signs for the endpoint.
async fn webhook_secrets(store: &SqlStore) -> Vec<Vec<u8>> {
    let (owner, id) = (Chain::Tenant(acme()), WEBHOOK.parse().unwrap());
    let webhook = store.webhook(&owner, &id).await.unwrap().unwrap();
    let secrets = webhook.secrets.iter();
    secrets.map(|it| it.secret.expose().to_vec()).collect()
}

async fn add_user(store: &SqlStore, user_id: &str) {
    let mut rng = super::entropy();
    let new = NewUser {
        tenant_id: acme(),
        user_id: user_id.parse().unwrap(),
        internal_id: crate::InternalUserId::generate(NOW, &mut rng),
        display_name: Some(format!("{user_id} Canary")),
        email: Some(format!("{user_id}@canary.example")),
        mobile: Some("+41 22 5550100".to_owned()),
    };
    store.create_user(change(), new).await.unwrap();
}

async fn user(store: &SqlStore, user_id: &str) -> User {
    let user = store.user(&acme(), &user_id.parse().unwrap()).await;
    user.unwrap().unwrap()
}

async fn add_operator(store: &SqlStore, email: &str) {
    let operator_id = OperatorId::generate(NOW, &mut super::entropy());
    let new = NewOperator {
        operator_id: operator_id.clone(),
        email: email.to_owned(),
        role: Role::PlatformAdmin,
        tenant_id: None,
        password: PasswordHash("hash".to_owned()),
    };
    store.create_operator(change(), new).await.unwrap();
    let totp = NewTotp {
        totp_id: TotpId::generate(NOW, &mut super::entropy()),
        operator_id,
        secret: SecretBytes::new(*b"shared secret"),
    };
    store.issue_totp(change(), totp).await.unwrap();
}

/// The secret of an operator's one-time codes.
async fn totp_secret(store: &SqlStore, operator: &Operator) -> Option<SecretBytes> {
    let totp = store.totp(&operator.operator_id).await.unwrap();
    totp.unwrap().secret
}

fn ca(byte: u8) -> (CaRecord, PrivateKeyPem) {
    let record = CaRecord {
        fingerprint: Fingerprint::from_bytes([byte; 32]),
        certificate_pem: format!("-----BEGIN CERTIFICATE-----\nCA {byte}\n"),
        state: CaState::Active,
        not_after: NOW + time::Duration::days(3650),
        created_at: NOW,
    };
    (record, PrivateKeyPem::new(format!("CA key {byte}")))
}

/// One of everything that is encrypted.
async fn fill(store: &SqlStore) {
    let tenant = store.create_tenant(change(), acme(), "Acme".to_owned());
    tenant.await.unwrap();
    add_user(store, "ada").await;
    add_operator(store, ROOT).await;
    let (record, key) = ca(1);
    store
        .add_ca(change(), record, key, CaOrigin::Generated)
        .await
        .unwrap();
    let webhook = NewWebhook {
        webhook_id: WEBHOOK.parse().unwrap(),
        owner: Chain::Tenant(acme()),
        settings: WebhookSettings {
            url: "https://hooks.example".to_owned(),
            events: ["*".parse().unwrap()].into(),
            description: None,
        },
        secret: SecretBytes::new(*b"webhook secret"),
    };
    store.create_webhook(change(), webhook).await.unwrap();
    let (key, until) = (IdempotencyKey([9; 32]), NOW + time::Duration::hours(1));
    let reserved = store.reserve(key, [5; 32], NOW, until, until);
    reserved.await.unwrap();
    let body = b"shown once".to_vec();
    let answer = StoredAnswer {
        key,
        lease_until: until,
        status: 201,
        body,
    };
    store.keep_answer(answer).await.unwrap();
}

#[derive(Debug, Default)]
struct Unreadable(Mutex<Vec<UnreadableValue>>);

impl StoreObserver for Unreadable {
    fn noticed(&self, _: &Notice, _: Origin) {}
    fn transaction_ended(&self, _: &Transaction) {}
    fn unreadable(&self, value: &UnreadableValue) {
        self.0.lock().unwrap().push(*value);
    }
}

#[tokio::test]
async fn a_value_whose_key_is_lost_takes_nothing_else_with_it() {
    let file = File::new();
    let store = file.open_with(&[1]).await.unwrap();
    fill(&store).await;
    store.close().await;
    let store = file.open_with(&[2, 1]).await.unwrap();
    add_user(&store, "lost").await;
    add_operator(&store, "lost@example.org").await;
    let (record, key) = ca(2);
    store
        .add_ca(change(), record.clone(), key, CaOrigin::Generated)
        .await
        .unwrap();
    store.close().await;

    let store = file.open_with(&[1]).await.unwrap();
    let seen = Arc::new(Unreadable::default());
    store.observe(Arc::clone(&seen) as _);
    let users = store.users(&acme(), PageRequest::first(10)).await.unwrap();
    let names: BTreeSet<_> = users.data.iter().map(|user| &user.display_name).collect();
    let readable = Some("ada Canary".to_owned());
    assert_eq!(names, BTreeSet::from([&None, &readable]));
    let columns: Vec<_> = std::mem::take(&mut *seen.0.lock().unwrap());
    let columns: Vec<_> = columns.iter().map(|value| value.column).collect();
    assert_eq!(columns, ["display_name", "email", "mobile"]);

    let operators = store.operators(PageRequest::first(10)).await.unwrap();
    assert_eq!(operators.data.len(), 2);
    let found = store.operator_by_email("lost@example.org").await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.email, None, "found by an address that is not shown");
    seen.0.lock().unwrap().clear();
    assert!(totp_secret(&store, &found).await.is_none());
    let told = std::mem::take(&mut *seen.0.lock().unwrap());
    assert_eq!((told[0].table, told[0].column), ("console_totp", "secret"));
    let root = store.operator_by_email(ROOT).await.unwrap().unwrap();
    assert!(totp_secret(&store, &root).await.is_some());

    let cas = store.cas().await.unwrap();
    assert_eq!(cas.len(), 2);
    let lost = store.private_key(&record.fingerprint).await.unwrap_err();
    assert!(matches!(&lost, Error::Decrypt { row, .. } if row.starts_with("platform_ca/0202")));
    let retiring = store.private_key(&ca(1).0.fingerprint).await.unwrap();
    assert_eq!(retiring.unwrap().expose(), "CA key 1");

    // An edit leaves what it does not name, also what it cannot read.
    let edit = UserEdit {
        mobile: Some(Some("112".to_owned())),
        ..UserEdit::default()
    };
    let id = "lost".parse().unwrap();
    let edited = store
        .update_user(change(), &acme(), &id, edit)
        .await
        .unwrap();
    assert_eq!(
        (edited.display_name, edited.mobile.as_deref()),
        (None, Some("112"))
    );
    let tenant = acme();
    let suspended = store.set_user_suspended(change(), &tenant, &id, true);
    suspended.await.unwrap();
    store.close().await;

    let store = file.open_with(&[1, 2]).await.unwrap();
    let found = user(&store, "lost").await;
    assert_eq!(found.display_name.as_deref(), Some("lost Canary"));
    assert_eq!(found.email.as_deref(), Some("lost@canary.example"));
    assert_eq!(found.mobile.as_deref(), Some("112"));
}

/// Every row of every table, as text.
async fn dump(file: &File) -> String {
    let mut raw = file.raw().await;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut raw)
        .await
        .unwrap();
    let mut dump = String::new();
    for table in tables {
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(columns))
            .fetch_all(&mut raw)
            .await
            .unwrap();
        let quoted: Vec<_> = columns
            .iter()
            .map(|column| format!("quote({column})"))
            .collect();
        let rows = format!(
            "SELECT {} AS row FROM {table} ORDER BY 1",
            quoted.join(" || ',' || ")
        );
        for row in sqlx::query(AssertSqlSafe(rows))
            .fetch_all(&mut raw)
            .await
            .unwrap()
        {
            dump += &format!("{table}: {}\n", row.get::<String, _>("row"));
        }
    }
    dump
}

#[tokio::test]
async fn a_process_with_a_wrong_data_key_is_refused_and_writes_nothing() {
    let file = File::new();
    let store = file.open_with(&[1]).await.unwrap();
    fill(&store).await;
    store.close().await;
    let before = dump(&file).await;
    assert!(before.contains("data_keys: 'k1'"), "{before}");

    let foreign = file.open_with(&[3]).await.unwrap_err().to_string();
    let said = "none of the configured data encryption keys is this database's: it knows k1";
    assert_eq!(foreign, said);
    let other = crate::Crypter::new(vec![crate::DataKey::new("k1", [3; 32]).unwrap()]).unwrap();
    let pool = crate::PoolOptions::default();
    let url = file.url();
    let opened = SqlStore::open(&url, &pool, other, super::entropy(), crate::Migrate::Auto);
    let same_id = opened.await.unwrap_err();
    assert!(
        matches!(&same_id, Error::OtherDataKey { id } if id == "k1"),
        "{same_id}"
    );
    assert_eq!(dump(&file).await, before);

    // Everything is under k1, and a process with k2 alone, which is known, puts nothing in its place.
    file.open_with(&[1, 2]).await.unwrap().close().await;
    let before = dump(&file).await;
    file.open_with(&[2]).await.unwrap().close().await;
    assert_eq!(dump(&file).await, before);
}

#[tokio::test]
async fn a_wrong_data_key_is_refused_before_a_migration() {
    let file = File::new();
    file.open_with(&[1]).await.unwrap().close().await;
    let mut raw = file.raw().await;
    let older = "DELETE FROM _sqlx_migrations WHERE version =
                   (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::query(older).execute(&mut raw).await.unwrap();
    let before = dump(&file).await;
    let refused = file.open_with(&[3]).await.unwrap_err();
    assert!(
        matches!(refused, Error::ForeignDataKeys { .. }),
        "{refused}"
    );
    assert_eq!(dump(&file).await, before);
}

#[tokio::test]
async fn a_named_secret_that_does_not_open_is_named() {
    let file = File::new();
    file.open_with(&[1]).await.unwrap().close().await;
    let store = file.open_with(&[2, 1]).await.unwrap();
    let fresh = SecretBytes::new(*b"pepper");
    let pepper = store.named_secret(NamedSecret::PairingPepper, fresh.clone());
    pepper.await.unwrap();
    store.close().await;
    let store = file.open_with(&[1]).await.unwrap();
    let lost = store.named_secret(NamedSecret::PairingPepper, fresh).await;
    let said = lost.unwrap_err().to_string();
    assert!(
        said.starts_with("platform_secrets.secret of pairing_pepper "),
        "{said}"
    );
}

#[tokio::test]
async fn after_a_rotation_the_earlier_key_may_be_dropped() {
    let file = File::new();
    let store = file.open_with(&[1]).await.unwrap();
    fill(&store).await;
    for number in 0..450 {
        add_user(&store, &format!("user{number}")).await;
    }
    store.close().await;

    let store = file.open_with(&[2, 1]).await.unwrap();
    let mut steps = Vec::new();
    let rotation = store.rotate_keys(|step| steps.push(step)).await.unwrap();
    assert!(rotation.is_complete(), "{rotation:?}");
    // 451 users with 3 fields, an operator with 2, an answer, a webhook, the CA's key and the digest key.
    assert_eq!((rotation.re_encrypted, rotation.verified), (1359, 1359));
    assert!(steps.len() > 12, "it tells of each batch: {steps:?}");
    let again = store.rotate_keys(|_| {}).await.unwrap();
    assert_eq!((again.re_encrypted, again.verified), (0, 1359));
    store.close().await;

    let store = file.open_with(&[2]).await.unwrap();
    let ada = user(&store, "ada").await;
    assert_eq!(ada.display_name.as_deref(), Some("ada Canary"));
    assert_eq!(ada.email.as_deref(), Some("ada@canary.example"));
    assert_eq!(ada.mobile.as_deref(), Some("+41 22 5550100"));
    let last = user(&store, "user449").await;
    assert_eq!(last.email.as_deref(), Some("user449@canary.example"));
    let root = store.operator_by_email(ROOT).await.unwrap().unwrap();
    assert_eq!(root.email.as_deref(), Some(ROOT));
    let secret = totp_secret(&store, &root).await.unwrap();
    assert_eq!(secret.expose(), b"shared secret");
    assert_eq!(webhook_secrets(&store).await, [b"webhook secret"]);
    let key = store.private_key(&ca(1).0.fingerprint).await.unwrap();
    assert_eq!(key.unwrap().expose(), "CA key 1");
    let key = IdempotencyKey([9; 32]);
    let again = store.reserve(key, [5; 32], NOW, NOW, NOW).await.unwrap();
    let crate::Reservation::Answered(answer) = again else {
        panic!("{again:?}");
    };
    assert_eq!(answer.body, b"shown once");
}

#[tokio::test]
async fn a_rotation_goes_on_behind_pages_that_are_done_or_empty() {
    let file = File::new();
    let store = file.open_with(&[2]).await.unwrap();
    fill(&store).await;
    for number in 0..210 {
        add_user(&store, &format!("user{number}")).await;
    }
    store.close().await;
    let store = file.open_with(&[1, 2]).await.unwrap();
    add_user(&store, "zoe").await;
    let mut raw = file.raw().await;
    let empty = "UPDATE users SET mobile = NULL WHERE user_id <> 'zoe'";
    sqlx::query(empty).execute(&mut raw).await.unwrap();
    close(store, raw).await;

    let store = file.open_with(&[2, 1]).await.unwrap();
    let rotation = store.rotate_keys(|_| {}).await.unwrap();
    // Zoe's three; with them 211 users' two, an operator's two, an answer, the CA's key and the digest key.
    assert_eq!((rotation.re_encrypted, rotation.verified), (3, 431));
    assert!(rotation.is_complete(), "{rotation:?}");
}

#[tokio::test]
async fn a_rotation_goes_past_what_does_not_open_and_names_it() {
    let file = File::new();
    let store = file.open_with(&[1]).await.unwrap();
    fill(&store).await;
    store.close().await;
    let store = file.open_with(&[2, 1]).await.unwrap();
    add_user(&store, "lost").await;
    store.close().await;
    let store = file.open_with(&[3, 1]).await.unwrap();
    let rotation = store.rotate_keys(|_| {}).await.unwrap();
    assert!(!rotation.is_complete());
    assert_eq!(
        (rotation.re_encrypted, rotation.unreadable, rotation.stale),
        (9, 3, 0)
    );
    let names = ["display_name", "email", "mobile"];
    let named = names.map(|column| format!("users.{column} of acme/lost"));
    assert_eq!(rotation.unreadable_values, named);
    assert_eq!(
        user(&store, "ada").await.display_name.as_deref(),
        Some("ada Canary")
    );
}

#[tokio::test]
async fn a_rotation_says_that_others_still_write_under_another_key() {
    let file = File::new();
    let store = file.open_with(&[1]).await.unwrap();
    fill(&store).await;
    let rotating = file.open_with(&[2, 1]).await.unwrap();
    let mut renamed = 0;
    // A process that was forgotten writes after each column is re-encrypted.
    let rotation = rotating.rotate_keys(|_| {
        renamed += 1;
        let name = Some(Some(format!("name {renamed}")));
        let edit = UserEdit {
            display_name: name,
            ..UserEdit::default()
        };
        let (store, id) = (store.clone(), "ada".parse().unwrap());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let edited = async move { store.update_user(change(), &acme(), &id, edit).await };
            runtime.block_on(edited).unwrap();
        });
        thread.join().unwrap();
    });
    let rotation = rotation.await.unwrap();
    assert_eq!(
        (rotation.stale, rotation.unreadable),
        (1, 0),
        "{rotation:?}"
    );
    let shown = user(&rotating, "ada").await.display_name;
    assert_eq!(
        shown,
        Some(format!("name {renamed}")),
        "no change is undone"
    );
}

#[tokio::test]
async fn a_value_that_changes_while_it_is_re_encrypted_is_left_alone() {
    let file = File::new();
    let store = file.open_with(&[2, 1]).await.unwrap();
    fill(&store).await;
    let column = &crate::sql::encrypted::USER_EMAIL;
    let mut raw = file.raw().await;
    let replaced = sqlx::query(column.replace)
        .bind(&b"new"[..])
        .bind(&b"not what is stored"[..])
        .bind("acme")
        .bind("ada")
        .execute(&mut raw)
        .await
        .unwrap();
    assert_eq!(replaced.rows_affected(), 0);
    close(store, raw).await;
}

#[tokio::test]
async fn every_column_of_bytes_is_encrypted_or_a_digest() {
    const DIGESTS: &[&str] = &[
        "audit_archives.hash",
        "audit_archives.previous_hash",
        "audit_archives.sha256",
        "audit_chains.hash",
        "audit_chains.signed_hash",
        "audit_rows.hash",
        "audit_rows.prev_hash",
        "backchannel_requests.request_sha256",
        "challenge_attempts.sample_digest",
        "console_recovery_codes.code_hash",
        "console_sessions.token_hash",
        "console_sign_ins.token_hash",
        "console_users.email_digest",
        "devices.active_serial",
        "devices.pairing_code_hash",
        "expiry_alerts.fingerprint",
        "expiry_mails.fingerprint",
        "expiry_recipients.fingerprint",
        "expiry_thresholds.fingerprint",
        "idempotent_answers.body_sha256",
        "idempotent_answers.request_key",
        "issued_certificates.ca_fingerprint",
        "issued_certificates.fingerprint",
        "issued_certificates.serial",
        "issued_certificates.spki_sha256",
        "issued_certificates.tbs_sha256",
        "login_failures.email_digest",
        "oauth_client_secrets.secret_hash",
        "rate_limit_buckets.bucket",
        "renewal_graces.superseded_serial",
        "renewal_graces.superseded_tbs_sha256",
        "revoked_cert_fingerprints.ca_fingerprint",
        "revoked_cert_fingerprints.fingerprint",
        "revoked_cert_fingerprints.serial",
        "revoked_cert_fingerprints.tbs_sha256",
        "used_assertions.assertion_sha256",
        // Encrypted, each value under the key that it is there for.
        "data_keys.key_check",
    ];
    let file = File::new();
    file.open().await.close().await;
    let mut raw = file.raw().await;
    let columns =
        "SELECT t.name || '.' || c.name FROM pragma_table_list t, pragma_table_info(t.name) c
                   WHERE t.schema = 'main' AND c.type = 'BLOB'
                     AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY 1";
    let found: Vec<String> = sqlx::query_scalar(columns)
        .fetch_all(&mut raw)
        .await
        .unwrap();
    let encrypted = ALL
        .iter()
        .map(|one| format!("{}.{}", one.table, one.column));
    let digests = DIGESTS.iter().map(|name| (*name).to_owned());
    let mut known: Vec<String> = encrypted.chain(digests).collect();
    known.sort();
    assert_eq!(
        found, known,
        "a new column is encrypted (sql/encrypted.rs) or named here"
    );

    let document = include_str!("../../../../docs/DATA_MODEL.md");
    for one in ALL {
        let name = format!("`{}.{}`", one.table, one.column);
        assert!(
            document.contains(&name),
            "{name} is not in docs/DATA_MODEL.md"
        );
        let page = one.page;
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {page}"));
        for step in sqlx::query(explain).fetch_all(&mut raw).await.unwrap() {
            let step: String = step.get("detail");
            assert!(step.starts_with("SEARCH"), "{step} in {page}");
        }
    }
}
