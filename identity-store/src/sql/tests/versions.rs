//! A database of every earlier version, with a row in each of its tables, is brought up and read.

use std::collections::BTreeSet;
use std::fmt::Debug;

use identity_pki::{ExpiryThreshold, Fingerprint, SerialNumber};
use sqlx::{AssertSqlSafe, SqlitePool};

use super::{File, NOW, acme, change, crypter, entropy, scanner};
use crate::crypter::Place;
use crate::sql::schema;
use crate::sql::sqlite::{ENCRYPTED_COLUMNS, MIGRATIONS};
use crate::{
    AssertionSha256, AuditArchiveStore as _, AuditStore as _, AuthRequestSha256,
    BackchannelStore as _, BucketKey, CertificateStore as _, Chain, ChallengeStore as _,
    ClientStore as _, Crypter, DataKey, DeliveryStore as _, DevicePolicyStore as _,
    DeviceStore as _, ErasureStore as _, Error, ExpiryAlertStore as _, IdempotencyKey,
    IdempotencyStore as _, IssuedToken, JobStore as _, LeaseName, LeaseStore as _, Migrate,
    NamedSecret, NewSession, OperatorStore as _, PageRequest, PasswordHash, PoolOptions,
    RateLimitStore as _, RecoveryCodeHash, ReplicaId, Result, SampleDigest, SecondFactor,
    SecondFactorStore as _, SecretBytes, SecretStore as _, SessionId, SessionTokenHash,
    SignInTokenHash, SqlStore, Store as _, TenantStore as _, TokenStore as _, Unreadable,
    UserStore as _, WebhookStore as _,
};

const ROWS: &str = include_str!("versions.sql");
const ID: &str = "01j00000000000000000000001";

/// The statements of [`ROWS`] for one version.
fn rows(version: i64) -> String {
    let mut statements = String::new();
    for part in ROWS.split("-- versions ").skip(1) {
        let (versions, part) = part.split_once('\n').unwrap();
        let (first, last) = versions.trim().split_once(" to ").unwrap();
        if (first.parse().unwrap()..=last.parse().unwrap()).contains(&version) {
            statements += &encrypted(part);
        }
    }
    for byte in 0..10 {
        let bytes = format!("x'{}'", hex::encode([byte; 32]));
        statements = statements.replace(&format!("[{byte}]"), &bytes);
    }
    statements.replace("[id]", ID)
}

fn encrypted(statements: &'static str) -> String {
    let (mut done, mut rest) = (String::new(), statements);
    while let Some((before, value)) = rest.split_once('<') {
        let (value, after) = value.split_once('>').unwrap();
        let (place, text) = value.split_once(": ").unwrap();
        let (column, row) = place.split_once(" of ").unwrap();
        let (table, column) = column.split_once('.').unwrap();
        let row = &row.replace("[id]", ID);
        let place = Place { table, row, column };
        let sealed = crypter(7).encrypt(place, text.as_bytes(), &mut entropy());
        done += &format!("{before}x'{}'", hex::encode(sealed.unwrap()));
        rest = after;
    }
    done + rest
}

/// Gives every table of a database a row; returns their names.
async fn fill(pool: &SqlitePool, version: i64) -> BTreeSet<String> {
    let filled = sqlx::raw_sql(AssertSqlSafe(rows(version))).execute(pool);
    filled.await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
                  AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    for table in &tables {
        let rows = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(rows).fetch_one(pool).await.unwrap();
        assert!(rows > 0, "{table} of version {version} has no row");
    }
    tables.into_iter().collect()
}

fn told(read: Result<impl Debug>) -> String {
    format!("{:?}", read.unwrap())
}

/// Of each table what the traits read, and a word of its row.
async fn read(store: &SqlStore) -> Vec<(&'static str, String, &'static str)> {
    let tenant = acme();
    let ada = "ada".parse().unwrap();
    let challenge = format!("ch_{ID}").parse().unwrap();
    let client_id = format!("cli_{ID}").parse().unwrap();
    let serial = SerialNumber::from_der_contents(&[7]).unwrap();
    let replica = ReplicaId::generate(NOW, &mut entropy());
    let (sample, later) = (SampleDigest([5; 32]), NOW + time::Duration::HOUR);
    let expiring = Fingerprint::from_bytes([4; 32]);
    let expiry = told(store.expiry_alert(&expiring, ExpiryThreshold::Days30).await);
    let user = told(store.user(&tenant, &ada).await);
    let client = told(store.client(&client_id).await);
    let ca_key = store.private_key(&Fingerprint::from_bytes([4; 32])).await;
    let ca_key = ca_key.map(|key| key.map(|key| key.expose().to_owned()));
    let denied = store.denials(0, 9).await;
    let assertion = AssertionSha256([5; 32]);
    let assertion = store.use_assertion(&tenant, &client_id, assertion, later);
    let token = IssuedToken {
        tenant_id: tenant.clone(),
        client_id: client_id.clone(),
        jti: "the token".to_owned(),
        expires_at: later,
    };
    let stands = store.token_stands(&token).await;
    let erasures = store.due_palm_erasures(9).await;
    let erasure = format!("era_{ID}").parse().unwrap();
    let erasure = store.erasure(&tenant, &erasure).await;
    let consents = store.consents(&tenant, &ada).await;
    let attempt = store.begin_attempt(change(), &tenant, &challenge, sample, later);
    let attempt = told(attempt.await);
    let challenge = store.challenge(&tenant, &challenge).await;
    let request = AuthRequestSha256([5; 32]);
    let request = store.poll_auth_request(change(), &tenant, &client_id, request);
    let operator = store.operator_by_email("root@example.org").await;
    let session = store
        .use_session(&SessionTokenHash([7; 32]), NOW, NOW)
        .await;
    let failures = store.login_failures("root@example.org", NOW).await;
    let operator_id = format!("adm_{ID}").parse().unwrap();
    let totp = store.totp(&operator_id).await;
    let token = SignInTokenHash([7; 32]);
    let sign_in = store.sign_in(&token, NOW).await;
    let completed = NewSession {
        session_id: SessionId::generate(NOW, &mut entropy()),
        operator_id,
        password: PasswordHash("hash".to_owned()),
        token_hash: SessionTokenHash([8; 32]),
        expires_at: later,
    };
    let code = SecondFactor::RecoveryCode(RecoveryCodeHash([6; 32]));
    let completed = store.complete_sign_in(change(), &token, code, completed);
    let completed = completed.await.is_ok();
    let answer = store.reserve(IdempotencyKey([8; 32]), [9; 32], NOW, later, later);
    let trail = store.sealed_audit(&Chain::Platform, 0, 9).await;
    let archives = store.archive_manifests(&Chain::Platform).await;
    let head = store.chain_head(&Chain::Platform).await;
    store.seal_audit(9).await.unwrap();
    let own = store
        .sealed_audit(&Chain::Tenant(tenant.clone()), 0, 9)
        .await;
    let outbox = told(store.outbox(0, 9).await);
    let owner = Chain::Tenant(tenant.clone());
    let webhook_id = format!("whe_{ID}").parse().unwrap();
    let deliveries = store.deliveries(&owner, &webhook_id, None, PageRequest::first(9));
    let deliveries = told(deliveries.await);
    let fanned_out = told(store.fan_out_events(NOW, 9).await);
    let webhook = told(store.webhook(&owner, &webhook_id).await);
    let job = format!("job_{ID}").parse().unwrap();
    let job_devices = match store.job(Some(&tenant), &job).await {
        Ok(Some(_)) => told(store.work_on_job(change(), Some(&tenant), &job, 9).await),
        _ => String::new(),
    };
    let lease = store.acquire_lease(LeaseName::Purge, &replica, NOW, later);
    vec![
        ("tenants", told(store.tenant(&tenant).await), "Acme"),
        (
            "device_policy",
            told(store.device_policy().await),
            "validity_days: 90",
        ),
        (
            "devices",
            told(store.device(&scanner(), NOW).await),
            "Counter 1",
        ),
        (
            "issued_certificates",
            told(store.issuance(&serial).await),
            "the PEM",
        ),
        ("revoked_cert_fingerprints", told(denied), "Renewed"),
        ("used_assertions", told(assertion.await), "false"),
        ("revoked_tokens", told(stands), "false"),
        ("users", user.clone(), "ada@example.org"),
        ("palms", user, "palm_id: 77"),
        ("palm_erasures", told(erasures), "Right"),
        ("erasures", told(erasure), "usr_01j00000000000000000000003"),
        ("consents", told(consents), "doors"),
        ("challenges", told(challenge), "the safe"),
        ("challenge_attempts", attempt, "Replayed"),
        ("backchannel_requests", told(request.await), "Pending"),
        ("oauth_clients", client.clone(), "Backend"),
        ("oauth_client_secrets", client, "SecretHash([6, 6"),
        ("console_users", told(operator), "root@example.org"),
        ("console_sessions", told(session), "ses_01"),
        ("console_totp", told(totp), "otp_01"),
        ("console_sign_ins", told(sign_in), "adm_01"),
        ("console_recovery_codes", completed.to_string(), "true"),
        ("login_failures", told(failures), "count: 1"),
        (
            "platform_secrets",
            told(store.cas().await),
            "the certificate",
        ),
        ("platform_secrets", told(ca_key), "the key"),
        ("idempotent_answers", told(answer.await), "status: 201"),
        ("audit_rows", told(trail), "ops_alert"),
        ("audit_intake", told(own), "tenant_updated"),
        ("audit_chains", told(head), "length: 1"),
        ("audit_archives", told(archives), "platform_2026-01"),
        ("outbox", outbox.clone(), "platform.ops_alert"),
        ("outbox_intake", outbox.clone(), "device.created"),
        ("audit_sealer", outbox.clone(), "position: 2"),
        ("outbox_numbers", outbox, "sequence: 42"),
        ("webhook_fan_out", fanned_out, "events: 1"),
        ("webhook_endpoints", webhook, "https://hooks.example"),
        ("webhook_deliveries", deliveries, "tries: 3"),
        (
            "denial_purge",
            told(store.purge_denials(NOW, time::Duration::ZERO).await),
            "0",
        ),
        (
            "named_secrets",
            told(store.known_secret(NamedSecret::EmailDigestKey).await),
            "Some",
        ),
        ("expiry_alerts", expiry.clone(), "is_announced: true"),
        ("expiry_mails", expiry.clone(), "adm_01"),
        ("expiry_thresholds", expiry.clone(), "is_announced: true"),
        ("expiry_recipients", expiry, "adm_01"),
        (
            "renewal_graces",
            told(store.overdue_renewal_graces(NOW, 9).await),
            "dev_1",
        ),
        ("leases", told(lease.await), "fence: 42"),
        ("jobs", told(store.next_job(None).await), "they left us"),
        ("job_devices", job_devices, "done: 1"),
        (
            "rate_limit_buckets",
            told(store.bucket(BucketKey([5; 32])).await),
            "2096",
        ),
    ]
}

#[tokio::test]
async fn a_database_of_every_earlier_version_is_brought_up_and_read() {
    let newest = i64::try_from(MIGRATIONS.len()).unwrap();
    // No release left this one: the next is in the same transaction.
    let half = schema::version_of(ENCRYPTED_COLUMNS, MIGRATIONS);
    for version in (1..newest).filter(|version| *version != half) {
        let file = File::new();
        let pool = file.make_version(version).await;
        let tables = fill(&pool, version).await;
        pool.close().await;
        let store = file.open().await;
        // What the file was opened by.
        let mut read_of = BTreeSet::from(["data_keys"]);
        for (table, told, word) in read(&store).await {
            read_of.insert(table);
            let is_read = !tables.contains(table) || told.contains(word);
            assert!(is_read, "{table} of version {version}: {told}");
        }
        let mut unread = tables.iter().filter(|table| !read_of.contains(&table[..]));
        assert_eq!(unread.next(), None, "of version {version}");
        store.close().await;
    }
}

#[tokio::test]
async fn what_an_earlier_version_made_is_not_made_again_and_what_it_lacked_is_made() {
    let earlier = i64::try_from(MIGRATIONS.len()).unwrap() - 1;
    let file = File::new();
    let pool = file.make_version(earlier).await;
    fill(&pool, earlier).await;
    pool.close().await;
    file.open().await.close().await;
    let mut raw = file.raw().await;
    let taken = "DELETE FROM platform_secrets WHERE kind = 'email_digest_key'";
    sqlx::query(taken).execute(&mut raw).await.unwrap();

    let store = file.open().await;
    let gone = store.known_secret(NamedSecret::EmailDigestKey).await;
    let why = Unreadable::Gone;
    let is_gone = matches!(&gone, Err(Error::Decrypt { why: told, .. }) if *told == why);
    assert!(is_gone, "{gone:?}");
    let lacked = NamedSecret::PairingPepper;
    assert!(store.known_secret(lacked).await.unwrap().is_none());
    let fresh = SecretBytes::new([1; 32]);
    store.named_secret(lacked, fresh).await.unwrap();
    super::close(store, raw).await;
}

#[tokio::test]
async fn the_last_threshold_told_on_each_channel_is_told_after_the_migration() {
    use ExpiryThreshold::{Day1, Days7, Days14, Days30};
    let file = File::new();
    let pool = file.make_version(17).await;
    let certificates = [
        // Announced and mailed in days; which thresholds are announced, which mailed.
        ("30, 30", vec![Days30], vec![Days30]),
        ("7, 14", vec![Days14, Days7], vec![Days14]),
        ("14, 7", vec![Days14], vec![Days14, Days7]),
        ("7, NULL", vec![Days7], vec![]),
        ("NULL, 7", vec![], vec![Days7]),
        ("NULL, NULL", vec![], vec![]),
    ];
    for (byte, (days, ..)) in certificates.iter().enumerate() {
        let fingerprint = hex::encode([u8::try_from(byte).unwrap(); 32]);
        let old = format!("INSERT INTO expiry_alerts VALUES (x'{fingerprint}', {days}, 5)");
        sqlx::query(AssertSqlSafe(old))
            .execute(&pool)
            .await
            .unwrap();
    }
    pool.close().await;
    let store = file.open().await;
    for (byte, (days, announced, mailed)) in certificates.into_iter().enumerate() {
        let fingerprint = Fingerprint::from_bytes([u8::try_from(byte).unwrap(); 32]);
        for threshold in [Days30, Days14, Days7, Day1] {
            let alert = store.expiry_alert(&fingerprint, threshold).await.unwrap();
            let told = (alert.is_announced, alert.is_mailed);
            let expected = (announced.contains(&threshold), mailed.contains(&threshold));
            assert_eq!(told, expected, "{days}: {threshold:?}");
        }
    }
    store.close().await;
}

#[tokio::test]
async fn a_client_is_told_of_an_answer_after_the_data_key_was_changed() {
    let newest = i64::try_from(MIGRATIONS.len()).unwrap();
    let file = File::new();
    let pool = file.make_version(newest).await;
    fill(&pool, newest).await;
    pool.close().await;
    let [new, old] = [("new", 8), ("test", 7)].map(|(id, byte)| DataKey::new(id, [byte; 32]));
    let [new, old] = [new.unwrap(), old.unwrap()];
    for keys in [vec![new.clone(), old], vec![new]] {
        let (url, pool) = (file.url(), PoolOptions::default());
        let crypter = Crypter::new(keys).unwrap();
        let store = SqlStore::open(&url, &pool, crypter, entropy(), Migrate::Auto);
        let store = store.await.unwrap();
        let rotation = store.rotate_keys(|_| {}).await.unwrap();
        assert!(rotation.is_complete(), "{rotation:?}");
        let claimed = store.claim_auth_notifications(NOW, NOW, 9).await.unwrap();
        let [claimed] = &claimed[..] else {
            panic!("{claimed:?}");
        };
        let notification = claimed.notification.as_ref().unwrap().expose();
        assert_eq!(notification, b"what the client is told with");
        store.close().await;
    }
}
