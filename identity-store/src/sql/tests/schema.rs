use super::{File, database, entropy, readers, waiting_device};
use crate::sql::connection::Connection;
use crate::sql::{Migrate, SqlStore};
use crate::{DeviceStore as _, Error, Store as _};

#[tokio::test]
async fn commits_are_on_the_disk_before_they_are_answered() {
    let file = File::new();
    let store = file.open().await;
    let mut transaction = database(&store).begin().await.unwrap();
    let Connection::Sqlite(writer) = &mut transaction else {
        panic!("these tests are SQLite's");
    };
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut **writer)
        .await
        .unwrap();
    assert_eq!(journal, "wal");
    const FULL: i64 = 2;
    for (pragma, value) in [
        ("PRAGMA synchronous", FULL),
        ("PRAGMA foreign_keys", 1),
        ("PRAGMA trusted_schema", 0),
    ] {
        let found = pragma_value(&mut **writer, pragma).await;
        assert_eq!(found, value, "{pragma}");
    }
    let found = pragma_value(readers(&store), "PRAGMA query_only").await;
    assert_eq!(found, 1, "a reader cannot write");
}

async fn pragma_value(conn: impl sqlx::SqliteExecutor<'_>, pragma: &'static str) -> i64 {
    let value = sqlx::query_scalar(pragma).fetch_one(conn);
    value.await.unwrap()
}

/// What a migration of a release to come leaves.
const NEWER: &str = "
    ALTER TABLE devices ADD COLUMN from_the_future TEXT;
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (9000, 'from the future', 1, x'00', 0)";

#[tokio::test]
async fn a_store_that_is_open_works_on_when_a_later_release_migrates() {
    let file = File::new();
    let store = file.open().await;
    let mut raw = file.raw().await;
    sqlx::raw_sql(NEWER).execute(&mut raw).await.unwrap();
    store.check().await.unwrap();
    waiting_device(&store).await.unwrap();
    // One that was put back to an older schema is none to work with.
    let older = "DELETE FROM _sqlx_migrations WHERE version > 1";
    sqlx::query(older).execute(&mut raw).await.unwrap();
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaOlder { found: 1, .. }),
        "{error:?}"
    );
    super::close(store, raw).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let file = File::new();
    file.open().await.close().await;
    let mut raw = file.raw().await;
    sqlx::raw_sql(NEWER).execute(&mut raw).await.unwrap();
    for migrate in [Migrate::Auto, Migrate::Off] {
        let opened = file.try_open(migrate).await;
        let error = opened.unwrap_err();
        assert!(
            matches!(error, Error::SchemaNewer { found: 9000, .. }),
            "{error:?}"
        );
    }
    let error = SqlStore::migrate(&file.url(), None, entropy())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::SchemaNewer { .. }), "{error:?}");
}

#[tokio::test]
async fn an_older_schema_is_refused_when_migrating_is_switched_off() {
    let file = File::new();
    let opened = file.try_open(Migrate::Off).await;
    let error = opened.unwrap_err();
    assert!(
        matches!(error, Error::SchemaOlder { found: 0, .. }),
        "{error:?}"
    );
    SqlStore::migrate(&file.url(), None, entropy())
        .await
        .unwrap();
    let opened = file.try_open(Migrate::Off).await;
    opened.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn migrating_twice_at_once_migrates_once() {
    let file = File::new();
    let migrations = (0..6).map(|_| {
        let url = file.url();
        tokio::spawn(async move { SqlStore::migrate(&url, None, entropy()).await })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    let store = file.open().await;
    store.check().await.unwrap();
    waiting_device(&store).await.unwrap();
}

#[tokio::test]
async fn denials_from_before_they_named_serial_and_ca_get_both_from_the_ledger() {
    let file = File::new();
    let earlier = file.make_version(1).await;
    let denied = "
        INSERT INTO issued_certificates VALUES ('acme', 'dev_1', x'0000000000000000000000000000000000000007', x'01', x'02',
            x'03', x'04', 'device', 'pairing', 0, 1, 'pem', 'req', 0);
        INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, reason,
            revoked_at, revoked_by, not_after)
        VALUES ('acme', 'dev_1', x'01', x'02', 'revoked', 0, 'op', 1)";
    sqlx::Executor::execute(&earlier, denied).await.unwrap();
    earlier.close().await;
    file.open().await.close().await;
    let mut raw = file.raw().await;
    let named = "SELECT hex(serial) || ' ' || hex(ca_fingerprint) FROM revoked_cert_fingerprints";
    let named: String = sqlx::query_scalar(named).fetch_one(&mut raw).await.unwrap();
    assert_eq!(named, format!("{}07 04", "00".repeat(19)));
}

#[tokio::test]
async fn the_ledger_takes_no_change_even_from_its_own_database() {
    let file = File::new();
    let store = file.open().await;
    waiting_device(&store).await.unwrap();
    let paired = store.pair_device(super::change(), super::pairing(1));
    paired.await.unwrap();
    let mut raw = file.raw().await;
    for statement in [
        "DELETE FROM issued_certificates",
        "UPDATE issued_certificates SET pem = 'another'",
    ] {
        let refused = sqlx::query(statement).execute(&mut raw).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    super::close(store, raw).await;
}

#[tokio::test]
async fn every_key_begins_with_the_tenant_or_is_a_global_look_up() {
    const GLOBAL: &[&str] = &[
        // The platform's own.
        "console_users",
        "console_sessions",
        "console_totp",
        "console_recovery_codes",
        "console_sign_ins",
        "data_keys",
        "device_policy",
        "expiry_alerts",
        "expiry_mails",
        "expiry_recipients",
        "expiry_thresholds",
        "login_failures",
        "platform_secrets",
        "named_secrets",
        "idempotent_answers",
        "leases",
        "rate_limit_buckets",
        // In the order of what happened, over all tenants.
        "revoked_cert_fingerprints",
        "audit_intake",
        "audit_rows",
        "audit_sealer",
        "denial_purge",
        "outbox",
        "outbox_intake",
        "webhook_fan_out",
    ];
    let file = File::new();
    let store = file.open().await;
    let tables = "SELECT t.name, c.name FROM pragma_table_list t, pragma_table_info(t.name) c
                  WHERE t.schema = 'main' AND t.type = 'table' AND c.pk = 1
                    AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'";
    let mut raw = file.raw().await;
    let keys: Vec<(String, String)> = sqlx::query_as(tables).fetch_all(&mut raw).await.unwrap();
    assert!(keys.len() > 10, "{keys:?}");
    let document = include_str!("../../../../docs/DATA_MODEL.md");
    for (table, key) in keys {
        let is_global = GLOBAL.contains(&table.as_str());
        assert!(is_global || key == "tenant_id", "{table} is keyed by {key}");
        assert!(
            document.contains(&format!("`{table}`")),
            "{table} is not in docs/DATA_MODEL.md"
        );
    }
    super::close(store, raw).await;
}
