//! The commands and the job of the real binary, on whatever database.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use identity_store::{
    AuditArchiveStore as _, AuditStore as _, Chain, Crypter, Migrate, Month, PoolOptions, SqlStore,
    Store as _,
};
use reference_server::clock::entropy;
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::harness::program;
use crate::months::{FEBRUARY, JANUARY, acme, record, two_months};

pub(crate) const KEY: &str = "test:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

/// A database with two months, and a folder for their archives.
pub(crate) struct Place {
    folder: TempDir,
    url: String,
}

impl Place {
    /// With the empty database at `url`, or an embedded one.
    pub(crate) async fn new(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedded = || format!("sqlite://{}", folder.path().join("identity.db").display());
        let url = url.map_or_else(embedded, str::to_owned);
        let place = Self { folder, url };
        let store = place.open().await;
        let months = [JANUARY, FEBRUARY].map(Month::of);
        store.prepare_audit_months(&months).await.unwrap();
        two_months(&store).await;
        store.close().await;
        place.sign();
        place
    }

    /// Has a server make the signing key, and its sealer sign where the chains end.
    fn sign(&self) {
        self.serve_until("audit head");
    }

    pub(crate) async fn open(&self) -> SqlStore {
        let pool = PoolOptions::default();
        let crypter = Crypter::parse(KEY).unwrap();
        let store = SqlStore::open(&self.url, &pool, crypter, entropy(), Migrate::Auto);
        store.await.unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn archives(&self) -> String {
        self.path().join("archives").display().to_string()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let run = program()
            .args(arguments)
            .env("DATABASE_URL", &self.url)
            .env("IDENTITY_DATA_ENCRYPTION_KEYS", KEY)
            .current_dir(self.path())
            .output();
        Ended::from(run.unwrap())
    }

    /// Starts a server that keeps one month, waits until its log says `text`, and stops it. The job
    /// may be done before the server listens.
    pub(crate) fn serve_until(&self, text: &str) -> Value {
        let mut server = program()
            .env("DATABASE_URL", &self.url)
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
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
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
    pub(crate) fn well(self) -> String {
        assert!(self.is_success && self.stderr.is_empty(), "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn badly(self) -> Self {
        assert!(!self.is_success, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self
    }
}

const JANUARYS_FILE: &str = "audit-tenant-acme-2020-01.ndjson";

pub(crate) async fn months_are_archived_verified_and_dropped(place: &Place) {
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
    // The alert comes behind the line in the log, and perhaps behind the sealer's last turn.
    store.seal_audit(9).await.unwrap();
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
    store.close().await;
    place.sign();
    let told = place.run(&verify).well();
    assert!(told.contains("tenant acme: 21 rows, 20 archived"), "{told}");
}

/// Edits rows, through `run`, one at a time.
pub(crate) async fn the_row_that_was_edited_is_named(place: &Place, run: impl AsyncFn(&str)) {
    place.run(&["audit", "verify"]).well();
    for at in [1, 7, 14, 20] {
        let of = format!("WHERE tenant_id = 'acme' AND chain_position = {at}");
        let keep = format!("CREATE TABLE kept AS SELECT * FROM audit_rows {of}");
        let edit = format!("UPDATE audit_rows SET request_id = request_id || 'x' {of}");
        for statement in [&*keep, &edit] {
            run(statement).await;
        }
        let ended = place.run(&["audit", "verify"]).badly();
        let named = format!("BROKEN  the chain of tenant acme: the row at place {at} (aud_");
        assert!(
            ended.stdout.contains(&named) && ended.stdout.contains("was edited"),
            "{ended:?}"
        );
        for statement in [
            &*format!("DELETE FROM audit_rows {of}"),
            "INSERT INTO audit_rows SELECT * FROM kept",
            "DROP TABLE kept",
        ] {
            run(statement).await;
        }
    }
    place.run(&["audit", "verify"]).well();
}
