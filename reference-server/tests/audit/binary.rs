//! The commands and the job of the real binary.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use identity_store::{AuditStore as _, Chain, Crypter, Migrate, PoolOptions, SqlStore, Store as _};
use reference_server::clock::entropy;
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::harness::{Process, program};
use crate::world::{acme, record, two_months};

const KEY: &str = "test:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const JANUARYS_FILE: &str = "audit-tenant-acme-2020-01.ndjson";

/// A database with two months, and a folder for their archives.
struct Place {
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let store = place.open().await;
        two_months(&store).await;
        store.close().await;
        place
    }

    async fn open(&self) -> SqlStore {
        let (url, pool) = (self.url(), PoolOptions::default());
        let crypter = Crypter::parse(KEY).unwrap();
        let store = SqlStore::open(&url, &pool, crypter, entropy(), Migrate::Auto);
        store.await.unwrap()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().join("identity.db").display())
    }

    fn archives(&self) -> String {
        self.path().join("archives").display().to_string()
    }

    /// Runs a command to its end.
    fn run(&self, arguments: &[&str]) -> Ended {
        let run = program()
            .args(arguments)
            .env("DATABASE_URL", self.url())
            .env("IDENTITY_DATA_ENCRYPTION_KEYS", KEY)
            .current_dir(self.path())
            .output();
        Ended::from(run.unwrap())
    }

    /// Starts a server that keeps one month, waits until its log says `text`, and stops it. The job
    /// may be done before the server listens.
    fn serve_until(&self, text: &str) -> Value {
        let mut server = program()
            .env("DATABASE_URL", self.url())
            .env("IDENTITY_DATA_ENCRYPTION_KEYS", KEY)
            .env("IDENTITY_AUDIT_RETENTION_MONTHS", "1")
            .env("IDENTITY_AUDIT_ARCHIVES", self.archives())
            .env("IDENTITY_LISTEN", "127.0.0.1:0")
            .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
            .env("IDENTITY_LOG_FORMAT", "json")
            .current_dir(self.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let (mut line, mut listens) = (None, false);
        while line.is_none() || !listens {
            let next = log.next().unwrap().unwrap();
            listens |= next.contains("\"listening\"");
            line = line.or_else(|| next.contains(text).then_some(next));
        }
        let ended = Command::new("kill").arg(server.id().to_string()).status();
        assert!(ended.unwrap().success());
        log.for_each(drop);
        assert!(server.wait().unwrap().success());
        serde_json::from_str(&line.unwrap()).unwrap()
    }
}

#[derive(Debug)]
struct Ended {
    is_success: bool,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            is_success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    fn well(self) -> String {
        assert!(self.is_success && self.stderr.is_empty(), "{self:?}");
        self.stdout
    }

    #[track_caller]
    fn badly(self) -> Self {
        assert!(!self.is_success, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self
    }
}

#[tokio::test]
async fn months_are_archived_verified_and_dropped_by_the_real_binary() {
    let place = Place::new().await;
    let archives = place.archives();
    let archive = ["audit", "archive", "--month", "2020-01", "--to", &archives];
    let told = place.run(&archive).well();
    assert!(
        told.contains("tenant acme: 10 rows in audit-tenant-acme-2020-01.ndjson"),
        "{told}"
    );
    let again = place.run(&archive).well();
    assert_eq!(again, "0 chains archived for 2020-01\n");
    let february = ["audit", "archive", "--month", "2020-02", "--to", &archives];
    place.run(&february).well();
    let verify = ["audit", "verify", "--archives", &archives];
    let told = place.run(&verify).well();
    assert!(
        told.contains("ok      the chain of tenant acme: 20 rows, 20 archived"),
        "{told}"
    );
    assert!(told.ends_with("unsealed rows: 0\n"), "{told}");

    let file = place.path().join("archives").join(JANUARYS_FILE);
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.replace("req-2020-01-6", "req-2020-01-x")).unwrap();
    let ended = place.run(&verify).badly();
    let named = "BROKEN  audit-tenant-acme-2020-01.ndjson: the chain of tenant acme: the row at \
                 place 7 (aud_";
    assert!(ended.stdout.contains(named), "{ended:?}");

    let refusal = place.serve_until("audit rows were not dropped");
    assert!(
        refusal["error"].as_str().unwrap().contains("place 7"),
        "{refusal}"
    );
    let store = place.open().await;
    let live = store.sealed_audit(&acme(), 0, 100).await.unwrap();
    assert_eq!(live.len(), 20, "nothing went");
    let platform = store.sealed_audit(&Chain::Platform, 0, 100).await.unwrap();
    let alerts = platform
        .iter()
        .filter(|sealed| sealed.row.action == "ops_alert");
    let alerts: Vec<_> = alerts.map(|sealed| &sealed.row.metadata["kind"]).collect();
    assert_eq!(alerts, ["audit_chain_broken"]);
    store.close().await;

    std::fs::write(&file, whole).unwrap();
    place.serve_until("archived audit rows were dropped");
    let store = place.open().await;
    assert_eq!(store.sealed_audit(&acme(), 0, 100).await.unwrap(), []);
    record(&store, &acme(), OffsetDateTime::UNIX_EPOCH, "req-late").await;
    store.seal_audit(9).await.unwrap();
    store.close().await;
    let told = place.run(&verify).well();
    assert!(told.contains("tenant acme: 21 rows, 20 archived"), "{told}");
}

#[tokio::test]
async fn a_month_that_is_not_over_or_none_is_refused() {
    let place = Place::new().await;
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
    let place = Place::new().await;
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
    let place = Place::new().await;
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
