//! The commands and the job of the real binary, on an embedded database.

use identity_store::Store as _;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use time::OffsetDateTime;

use crate::harness::Process;
use crate::months::{acme, record};
use crate::place::{self, KEY, Place};

#[tokio::test]
async fn months_are_archived_verified_and_dropped() {
    place::months_are_archived_verified_and_dropped(&Place::new(None).await).await;
}

#[tokio::test]
async fn the_row_that_was_edited_is_named() {
    let place = Place::new(None).await;
    let run = async |statement: &str| run(&place, statement).await;
    place::the_row_that_was_edited_is_named(&place, run).await;
}

/// Does behind the server's back what `statement` says.
async fn run(place: &Place, statement: &str) {
    let options = SqliteConnectOptions::new().filename(place.path().join("identity.db"));
    let mut raw = options.connect().await.unwrap();
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut raw);
    run.await.unwrap();
    sqlx::Connection::close(raw).await.unwrap();
}

#[tokio::test]
async fn rows_that_are_cut_off_with_their_signature_leave_rows_that_nobody_signed() {
    let place = Place::new(None).await;
    let cut = "
        DELETE FROM audit_rows WHERE tenant_id = 'acme' AND chain_position > 18;
        UPDATE audit_chains
        SET length = 18, signed_length = 0, signed_hash = NULL, signed_head = NULL,
            hash = (SELECT hash FROM audit_rows WHERE tenant_id = 'acme' AND chain_position = 18)
        WHERE tenant_id = 'acme'";
    run(&place, cut).await;
    let ended = place.run(&["audit", "verify"]).badly();
    let named = "UNSIGNED the chain of tenant acme: 18 rows from place 1 on are not signed";
    assert!(ended.stdout.contains(named), "{ended:?}");
    run(
        &place,
        "DELETE FROM platform_secrets WHERE kind = 'token_signing_key'",
    )
    .await;
    let ended = place.run(&["audit", "verify"]).badly();
    assert!(
        ended.stderr.contains("token_signing_key cannot be read"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn no_command_of_the_audit_trail_migrates() {
    let place = Place::new(None).await;
    let newest = "(SELECT max(version) FROM _sqlx_migrations)";
    let older = format!("DELETE FROM _sqlx_migrations WHERE version = {newest}");
    run(&place, &older).await;
    let archives = place.archives();
    for command in [
        &["audit", "verify"][..],
        &["audit", "archive", "--month", "2020-01", "--to", &archives],
    ] {
        // A second start as the first: nothing was brought up.
        for _ in 0..2 {
            let ended = place.run(command).badly();
            assert!(ended.stderr.contains("schema"), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn no_command_of_the_audit_trail_makes_a_database() {
    let place = Place::new(None).await;
    let file = place.path().join("identity.db");
    std::fs::remove_file(&file).unwrap();
    let ended = place.run(&["audit", "verify"]).badly();
    assert!(ended.stderr.contains("there is no database"), "{ended:?}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_month_that_is_not_over_or_none_is_refused() {
    let place = Place::new(None).await;
    let archives = place.archives();
    let run = |month| place.run(&["audit", "archive", "--month", month, "--to", &archives]);
    let ended = run("9999-01").badly();
    assert!(
        ended.stderr.contains("the month 9999-01 is not over"),
        "{ended:?}"
    );
    assert!(!run("2020-13").is_success);
}

#[tokio::test]
async fn a_byte_that_was_changed_in_the_database_is_found() {
    let place = Place::new(None).await;
    place.run(&["audit", "verify"]).well();
    let path = place.path().join("identity.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Everywhere: pages that the row left may still show it.
    let canary = b"req-2020-02-3";
    for at in 0..bytes.len() - canary.len() {
        if bytes[at..].starts_with(canary) {
            bytes[at + canary.len() - 1] = b'x';
        }
    }
    std::fs::write(&path, bytes).unwrap();
    let ended = place.run(&["audit", "verify"]).badly();
    let named = "BROKEN  the chain of tenant acme: the row at place 14 (aud_";
    assert!(
        ended.stdout.contains(named) && ended.stdout.contains("was edited"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_database_that_was_put_back_misses_the_head_in_the_log() {
    let place = Place::new(None).await;
    let path = place.path().join("identity.db");
    let earlier = std::fs::read(&path).unwrap();
    let store = place.open().await;
    record(&store, &acme(), OffsetDateTime::UNIX_EPOCH, "req-newest").await;
    store.close().await;
    let key = [("IDENTITY_DATA_ENCRYPTION_KEYS", KEY)];
    let mut server = Process::start(place.path(), "127.0.0.1:0", &key);
    let kept = place.path().join("heads.jsonl");
    let mut lines = String::new();
    let head = loop {
        let text = server.log_line("audit head");
        let line: Value = serde_json::from_str(&text).unwrap();
        lines += &(text + "\n");
        if line["tenant_id"] == "acme" {
            assert_eq!(line["length"], 21);
            break line["signed"].as_str().unwrap().to_owned();
        }
    };
    server.terminate();
    std::fs::write(&kept, &lines).unwrap();
    let verify = |head: &str| place.run(&["audit", "verify", "--head", head]);
    let verify_kept = || place.run(&["audit", "verify", "--heads", kept.to_str().unwrap()]);
    verify(&head).well();
    verify_kept().well();

    std::fs::write(&path, earlier).unwrap();
    place.run(&["audit", "verify"]).well();
    let missing = "the chain of tenant acme: the rows from place 21 on are gone";
    for ended in [verify(&head), verify_kept()] {
        assert!(ended.badly().stdout.contains(missing));
    }
    let ended = verify("e30.e30.e30").badly();
    assert!(ended.stderr.contains("--head"), "{ended:?}");
    std::fs::write(&kept, format!("cut off\n{lines}")).unwrap();
    let ended = verify_kept().badly();
    assert!(ended.stderr.contains("--heads: line 1 "), "{ended:?}");
}
