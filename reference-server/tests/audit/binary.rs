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
    let options = SqliteConnectOptions::new().filename(place.path().join("identity.db"));
    let run = async |statement: &str| {
        let mut raw = options.connect().await.unwrap();
        let run = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut raw);
        run.await.unwrap();
        sqlx::Connection::close(raw).await.unwrap();
    };
    place::the_row_that_was_edited_is_named(&place, run).await;
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
    // The first command that needs the signing key makes it.
    place.run(&["audit", "verify"]).well();
    let earlier = std::fs::read(&path).unwrap();
    let store = place.open().await;
    record(&store, &acme(), OffsetDateTime::UNIX_EPOCH, "req-newest").await;
    store.close().await;
    let key = [("IDENTITY_DATA_ENCRYPTION_KEYS", KEY)];
    let mut server = Process::start(place.path(), "127.0.0.1:0", &key);
    let head = loop {
        let line: Value = serde_json::from_str(&server.log_line("audit head")).unwrap();
        if line["tenant_id"] == "acme" {
            assert_eq!(line["length"], 21);
            break line["signed"].as_str().unwrap().to_owned();
        }
    };
    server.terminate();
    let verify = |head: &str| place.run(&["audit", "verify", "--head", head]);
    verify(&head).well();

    std::fs::write(&path, earlier).unwrap();
    place.run(&["audit", "verify"]).well();
    let ended = verify(&head).badly();
    let missing = "the chain of tenant acme: the rows from place 21 on are gone";
    assert!(ended.stdout.contains(missing), "{ended:?}");
    let ended = verify("e30.e30.e30").badly();
    assert!(ended.stderr.contains("--head"), "{ended:?}");
}
