//! What `docs/OPERATIONS.md` says about PostgreSQL, done by the real binary on a real cluster.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod harness;
#[path = "audit/months.rs"]
mod months;
#[path = "audit/place.rs"]
mod place;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use harness::{DeviceKey, Platform, program};
use identity_pki::{DeviceCertificate, SerialNumber, TbsSha256};
use identity_store::{CertificateStore as _, Crypter};
use libtest_mimic::Arguments;
use place::Place;
use postgres_cluster::{
    Cluster, Installation, InstallationTest, Stop, execute, installation_tests, on_installations,
    refusal,
};
use reference_server::config::Config;
use reference_server::serve::Server;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");
const ROLES: &str = include_str!("../../docs/postgres/roles.sql");
const GRANTS: &str = include_str!("../../docs/postgres/grants.sql");
/// The data key of every server here.
const KEYS: (&str, &str) = (
    "IDENTITY_DATA_ENCRYPTION_KEYS",
    "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

const TESTS: &[InstallationTest] = installation_tests![
    a_server_needs_no_right_but_to_rows,
    a_servers_role_drops_no_audit_row_without_an_archive_and_never_acts_as_the_owner,
    a_server_on_postgresql_needs_a_data_key,
    the_databases_password_and_the_data_key_are_in_no_log,
    replicas_serve_on_when_a_later_release_migrates_and_none_starts,
    a_denial_that_a_database_numbered_anew_after_its_crash_is_taken_up,
    a_commit_that_no_standby_confirms_is_told_in_time_and_holds_up_no_end,
    months_are_archived_verified_and_their_partitions_dropped,
    the_row_that_was_edited_is_named,
    what_shards_by_tenant_is_what_the_page_about_scale_says,
];

/// Tests that need `pg_basebackup`.
const COPYING: &[InstallationTest] = installation_tests![a_platform_goes_back_to_a_moment];

fn main() -> ExitCode {
    let trials = on_installations(TESTS, COPYING);
    let mut arguments = Arguments::from_args();
    // Most of a test is waiting for clusters and servers.
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a story to its end.
fn story<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(story)
}

/// The program with this command and this database.
fn command(name: &str, url: &str) -> Command {
    let mut command = program();
    command.arg(name).env("DATABASE_URL", url);
    command
}

/// A device, and what it has to prove itself.
struct Paired {
    id: String,
    key: DeviceKey,
    certificate: String,
}

impl Paired {
    /// A client with its certificate.
    fn api(&self, platform: &Platform) -> harness::Api {
        platform.device(&self.key, &self.certificate)
    }

    fn serial(&self) -> SerialNumber {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM");
        let certificate = DeviceCertificate::from_der(&der).expect("a device's");
        certificate.serial()
    }
}

/// Registers and pairs a device.
async fn pair(platform: &Platform, admin: &harness::Api) -> Paired {
    let made = admin
        .post("/v1/devices", json!({"device_name": "desk"}))
        .await;
    let code: &Value = &made.json["pairing_code"];
    let key = DeviceKey::generate();
    let request = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
    let paired = platform.api().post("/v1/devices/pair", request).await;
    assert_eq!(paired.status, 200, "{}", paired.text);
    let text = |name: &str| paired.json[name].as_str().expect("text").to_owned();
    Paired {
        id: text("device_id"),
        certificate: text("certificate"),
        key,
    }
}

/// A database with both roles as the page has them made; gives the owner's URL and the server's.
fn two_roles(cluster: &Cluster) -> (String, String) {
    // `CREATE DATABASE` runs in no block of statements.
    for statement in ROLES.split_inclusive(';').filter(|text| text.contains(';')) {
        cluster.execute("postgres", statement);
    }
    let as_role = |role: &str| {
        cluster.execute("postgres", &format!("ALTER ROLE {role} PASSWORD '{role}'"));
        format!(
            "postgres://{role}:{role}@127.0.0.1:{}/identity",
            cluster.port()
        )
    };
    let (owner, server) = (as_role("identity_owner"), as_role("identity_server"));
    for _ in 0..2 {
        assert!(
            command("migrate", &owner)
                .status()
                .expect("it runs")
                .success()
        );
        execute(&owner, GRANTS);
    }
    (owner, server)
}

fn a_server_needs_no_right_but_to_rows(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let (owner, server) = two_roles(&cluster);
    let variables = [
        ("DATABASE_URL", &*server),
        ("IDENTITY_MIGRATE", "off"),
        KEYS,
    ];
    story(async {
        let platform = Platform::first_run_with(&variables).await;
        let admin = platform.tenant("acme").await;
        let device = pair(&platform, &admin).await.id;
        let revoked = admin.delete(&format!("/v1/devices/{device}")).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
    });
    for statement in [
        "DELETE FROM issued_certificates",
        "UPDATE issued_certificates SET serial = serial",
        "TRUNCATE issued_certificates CASCADE",
        "DELETE FROM audit_rows",
        "DELETE FROM audit_chains",
        "INSERT INTO audit_archives SELECT * FROM audit_archives",
        "DELETE FROM audit_archives",
        "UPDATE audit_archives SET length = 0",
        "UPDATE audit_intake SET action = 'another'",
        "UPDATE revoked_cert_fingerprints SET tbs_sha256 = fingerprint",
        "UPDATE outbox SET data = '{}'",
        "DELETE FROM webhook_fan_out",
        "UPDATE outbox_intake SET data = '{}'",
        "DELETE FROM _sqlx_migrations",
        "DELETE FROM named_secrets",
    ] {
        let refused = refusal(&server, statement);
        assert!(
            refused.starts_with("permission denied for table"),
            "{statement}: {refused}"
        );
    }
    for statement in [
        "ALTER TABLE devices ADD COLUMN added BIGINT",
        "ALTER TABLE issued_certificates DISABLE TRIGGER ALL",
        "DROP TABLE audit_rows",
    ] {
        let refused = refusal(&server, statement);
        assert!(
            refused.starts_with("must be owner of"),
            "{statement}: {refused}"
        );
    }
    let refused = refusal(&server, "CREATE TABLE public.added (n BIGINT)");
    assert_eq!(refused, "permission denied for schema public");
    let refused = refusal(&owner, "DELETE FROM issued_certificates");
    assert!(
        !refused.starts_with("permission denied"),
        "the trigger refuses: {refused}"
    );
}

fn a_servers_role_drops_no_audit_row_without_an_archive_and_never_acts_as_the_owner(
    installation: &Installation,
) {
    const TRAP: &str = "
        CREATE TEMPORARY TABLE audit_rows (tenant_id TEXT, chain_position BIGINT, at BIGINT);
        CREATE TEMPORARY TABLE audit_archives (tenant_id TEXT, length BIGINT);
        INSERT INTO audit_rows VALUES ('', 1, -1);
        INSERT INTO audit_archives VALUES ('', 1);
        CREATE FUNCTION pg_temp.trap() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE 'GRANT ALL ON public.audit_rows TO identity_server';
            RETURN old;
        END $$;
        CREATE TRIGGER trap BEFORE DELETE ON audit_rows FOR EACH ROW EXECUTE FUNCTION pg_temp.trap();
        GRANT ALL ON audit_rows, audit_archives TO PUBLIC;
        SELECT drop_audit_months(0)";
    let cluster = Cluster::options(installation).throw_away().start();
    let (owner, server) = two_roles(&cluster);
    execute(
        &owner,
        "INSERT INTO audit_rows VALUES ('', 1, 'aud_1', 1, 'system', 'test', 'test', 'ok', 'info', '',
                                        'req', NULL, '{}', '\\x00', '\\x01')",
    );
    let refused = |statement: &str| refusal(&server, statement);
    assert_eq!(
        refused("SELECT drop_audit_months(4102444800000)"),
        "audit rows of a month that is not over are not dropped"
    );
    assert_eq!(
        refused("SELECT drop_audit_months(2678400000)"),
        "audit rows that no archive holds are not dropped"
    );
    // Its month would go whole, and what lies after it there was in no archive's.
    assert_eq!(
        refused("SELECT drop_audit_months(1)"),
        "audit rows are dropped up to the first moment of a month, which 1 is not"
    );
    assert_eq!(
        refused(TRAP),
        "permission denied to create temporary tables in database \"identity\""
    );
    // Nor where an operator left the role that right.
    execute(
        &owner,
        "GRANT TEMPORARY ON DATABASE identity TO identity_server",
    );
    execute(&server, TRAP);
    assert_eq!(
        refused("DELETE FROM public.audit_rows"),
        "permission denied for table audit_rows"
    );
}

fn a_server_on_postgresql_needs_a_data_key(_: &Installation) {
    let served = command("serve", "postgres://id:canary@127.0.0.1:1/identity")
        .env("IDENTITY_LISTEN", "127.0.0.1:0")
        .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
        .output()
        .expect("it runs");
    let said = String::from_utf8(served.stderr).expect("text");
    assert_eq!(served.status.code(), Some(1));
    let named = said.starts_with("reference-server: IDENTITY_DATA_ENCRYPTION_KEYS must be set");
    assert!(named && !said.contains("canary"), "{said}");
}

fn the_databases_password_and_the_data_key_are_in_no_log(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let database = cluster.database();
    let password = "canary-of-the-database";
    let owner = format!("CREATE ROLE told LOGIN SUPERUSER PASSWORD '{password}'");
    cluster.execute("postgres", &owner);
    let (port, name) = (cluster.port(), database.name());
    let url = format!("postgres://told:{password}@127.0.0.1:{port}/{name}");
    let variables = [("DATABASE_URL", &*url), KEYS, ("IDENTITY_LOG", "trace")];
    story(async {
        let mut platform = Platform::first_run_with(&variables).await;
        let logged = [platform.first_logged.clone(), platform.process.logged()];
        // What is said of a database that is gone, and of one that is there again.
        cluster.kill();
        let ready = platform.api().get("/readyz").await;
        assert_eq!(ready.status, 503, "{}", ready.text);
        cluster.resume();
        wait_until(async || platform.api().get("/readyz").await.status == 200).await;
        platform.tenant("acme").await;
        assert_eq!(platform.process.terminate(), harness::Exit::success());
        let lines: Vec<_> = logged.iter().flat_map(harness::Logged::lines).collect();
        assert!(
            lines.iter().any(|line| line.contains("connect")),
            "{lines:?}"
        );
        let key = KEYS.1.trim_start_matches("k1:");
        for line in lines {
            assert!(!line.contains(password) && !line.contains(key), "{line}");
        }
    });
}

fn replicas_serve_on_when_a_later_release_migrates_and_none_starts(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let database = cluster.database();
    let variables = [("DATABASE_URL", database.url()), KEYS];
    story(async {
        let platform = Platform::first_run_with(&variables).await;
        let admin = platform.tenant("acme").await;
        pair(&platform, &admin).await;
        execute(
            database.url(),
            "ALTER TABLE devices ADD COLUMN from_the_future TEXT;
             INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9000, 'from the future', TRUE, '\\x00', 0)",
        );
        for path in ["/readyz", "/actuator/health"] {
            let ready = platform.api().get(path).await;
            assert_eq!(ready.status, 200, "{path}: {}", ready.text);
        }
        pair(&platform, &admin).await;
        // One that is started now, or again, knows too little.
        let directory = platform.directory.path();
        let mut late = harness::command(directory, "127.0.0.1:0", &variables);
        let refused = late.output().expect("it runs");
        let said = String::from_utf8(refused.stderr).expect("text");
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("schema version 9000"), "{said}");
    });
}

fn a_denial_that_a_database_numbered_anew_after_its_crash_is_taken_up(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let database = cluster.database();
    let variable = |name: &str| match name {
        "DATABASE_URL" => Some(database.url().into()),
        "IDENTITY_LISTEN" | "IDENTITY_METRICS_LISTEN" => Some("127.0.0.1:0".into()),
        name => (name == KEYS.0).then(|| KEYS.1.into()),
    };
    let config = Config::from_lookup(variable, false).expect("a configuration");
    story(async {
        let server = Server::start(config, None).await.expect("a server");
        let app = Arc::clone(&server.app);
        let follows = async || {
            let since = app.clock.now();
            wait_until(async || app.denylist.age(app.clock.now()) < Some(app.clock.now() - since))
                .await;
        };
        let is_denied = || {
            app.denylist
                .denies(&TbsSha256::from_bytes([1; 32]), app.clock.now())
        };
        follows().await;
        // Of the transactions that the server counted, a database that crashed knows those that were
        // written down, and gives the numbers of the others once more.
        execute(
            database.url(),
            "INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256,
                 reason, revoked_at, revoked_by, not_after, serial, ca_fingerprint, xact)
             SELECT 'acme', 'dev_1', digest, digest, 'revoked', 0, 'test', 4102444800000,
                 substr(digest, 1, 20), digest, 3
             FROM decode(repeat('01', 32), 'hex') AS digest",
        );
        follows().await;
        assert!(
            !is_denied(),
            "its number lies behind where the list was read"
        );
        cluster.kill();
        cluster.resume();
        wait_until(async || is_denied()).await;
        app.shutdown.cancel();
        server.join().await;
    });
}

fn a_commit_that_no_standby_confirms_is_told_in_time_and_holds_up_no_end(
    installation: &Installation,
) {
    let cluster = Cluster::options(installation).throw_away().start();
    // One that no test drops at its end: that would wait for the standby as well.
    let url = cluster.url("postgres");
    let variables = [("DATABASE_URL", &*url), KEYS];
    story(async {
        let mut platform = Platform::first_run_with(&variables).await;
        cluster.set(&[("synchronous_standby_names", "gone")]);
        let tenant = json!({"tenant_id": "acme", "name": "Acme"});
        let made = platform.admin.post("/v1/admin/tenants", tenant).await;
        assert_eq!(made.status, 503, "{}", made.text);
        let ready = platform.api().get("/readyz").await;
        assert_eq!(ready.status, 503, "{}", ready.text);
        platform.process.signal("TERM");
        wait_until(async || platform.process.has_ended()).await;
        assert_eq!(platform.process.exit(), harness::Exit::success());
    });
}

/// Waits until something holds, for a minute.
async fn wait_until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(60), held).await;
    held.expect("it never holds");
}

fn months_are_archived_verified_and_their_partitions_dropped(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let database = cluster.database();
    let partitions = || {
        let names = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
                     WHERE relname IN ('audit_rows_2020_01', 'audit_rows_2020_02')";
        cluster.ask(database.name(), names)
    };
    story(async {
        let place = Place::new(Some(database.url())).await;
        let made = partitions();
        assert_eq!(
            made.as_deref(),
            Some("audit_rows_2020_01 audit_rows_2020_02")
        );
        place::months_are_archived_verified_and_dropped(&place).await;
        assert_eq!(partitions(), None);
    });
}

fn the_row_that_was_edited_is_named(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let database = cluster.database();
    story(async {
        let place = Place::new(Some(database.url())).await;
        let run = async |statement: &str| execute(database.url(), statement);
        place::the_row_that_was_edited_is_named(&place, run).await;
    });
}

/// A parameter of PostgreSQL's configuration as the page has it, the archive in this folder.
fn on_the_page(parameter: &str, archive: &Path) -> String {
    let mut lines = PAGE.lines().map(str::trim);
    let value = lines.find_map(|line| line.strip_prefix(parameter)?.strip_prefix(" = '"));
    let value = value.and_then(|value| value.strip_suffix('\''));
    let archive = archive.to_str().expect("text");
    value.expect("it is there").replace("/archive", archive)
}

/// Waits until everything that was written so far is in the archive; gives the last segment.
fn archived(cluster: &Cluster) -> String {
    let last = cluster.ask("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
    let last = last.expect("a segment");
    let archived = "(SELECT last_archived_wal FROM pg_stat_archiver)";
    cluster.wait_until("postgres", &format!("{archived} >= '{last}'"));
    last
}

fn a_platform_goes_back_to_a_moment(installation: &Installation) {
    let cluster = Cluster::start(installation);
    let archive = cluster.folder().join("archive");
    let command = on_the_page("archive_command", &archive);
    let command = format!("mkdir -p {} && {command}", archive.display());
    cluster.set(&[("archive_mode", "on"), ("archive_command", &command)]);
    cluster.stop(Stop::Fast);
    cluster.resume();
    let database = cluster.database();
    let variables = [("DATABASE_URL", database.url()), KEYS];
    story(async {
        let mut platform = Platform::first_run_with(&variables).await;
        let admin = platform.tenant("acme").await;
        let early = pair(&platform, &admin).await;
        // The backup is of a primary that has a standby.
        cluster.set(&[("synchronous_standby_names", "standby")]);
        let backup = cluster.backup();
        cluster.set(&[("synchronous_standby_names", "")]);
        let kept = pair(&platform, &admin).await;
        let moment = cluster.ask("postgres", "SELECT clock_timestamp()::text");
        let lost = pair(&platform, &admin).await;
        let last = archived(&cluster);
        platform.process.terminate();
        // A crash before PostgreSQL noted that a segment is in the archive repeats it.
        let status = cluster.folder().join("data/pg_wal/archive_status");
        let (done, ready) = (format!("{last}.done"), format!("{last}.ready"));
        std::fs::rename(status.join(&done), status.join(ready)).expect("it was archived");
        archived(&cluster);
        wait_until(async || status.join(&done).exists()).await;
        cluster.stop(Stop::Fast);

        let restored = backup.restore(&[
            ("restore_command", &on_the_page("restore_command", &archive)),
            ("recovery_target_time", &moment.expect("a time")),
        ]);
        restored.set(&[("synchronous_standby_names", "")]);
        let url = restored.url(database.name());
        let address = platform.process.address.to_string();
        let variables = [("DATABASE_URL", &*url), KEYS];
        platform.process = harness::Process::start(platform.directory.path(), &address, &variables);
        let crypter = Crypter::parse(KEYS.1).expect("a key");
        let store = harness::store_at(&url, crypter).await;
        for (device, is_there) in [(early, true), (kept, true), (lost, false)] {
            let status = |reply: harness::Reply| reply.status;
            let found = status(admin.get(&format!("/v1/devices/{}", device.id)).await);
            let polled = device.api(&platform).get("/v1/challenges/pending").await;
            let expected = if is_there { (200, 200) } else { (404, 401) };
            assert_eq!((found, status(polled)), expected);
            let issuance = store.issuance(&device.serial()).await.expect("the ledger");
            let issued = issuance.map(|issuance| issuance.certificate.pem);
            assert_eq!(issued, is_there.then_some(device.certificate));
        }
        identity_store::Store::close(&store).await;
        pair(&platform, &admin).await;
        platform.process.terminate();
        let verified = program().args(["audit", "verify"]).envs(variables).output();
        let verified = verified.expect("it runs");
        assert!(verified.status.success(), "{verified:?}");
        archived(&restored);
    });
}

/// Each table, whether every row has a tenant, and the columns that are unique over all tenants.
const TABLES: &str = "
    WITH own AS (
        SELECT oid, relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
          AND NOT relispartition AND NOT starts_with(relname::text, '_sqlx')
    ), key AS (
        SELECT i.indrelid, string_agg(a.attname, ', ' ORDER BY a.attname) AS columns,
               bool_or(a.attname = 'tenant_id') AS is_tenants
        FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indisunique GROUP BY i.indexrelid, i.indrelid
    ), line AS (
        SELECT concat_ws(' | ', relname,
            CASE WHEN EXISTS (SELECT 1 FROM pg_attribute
                              WHERE attrelid = own.oid AND attname = 'tenant_id' AND attnotnull)
                 THEN 'yes' ELSE 'no' END,
            (SELECT coalesce(string_agg(DISTINCT columns, '; ' ORDER BY columns), '–') FROM key
             WHERE indrelid = own.oid AND NOT is_tenants)) AS said
        FROM own
    )
    SELECT string_agg(said, chr(10) ORDER BY said COLLATE \"C\") FROM line";

fn what_shards_by_tenant_is_what_the_page_about_scale_says(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let migrated = command("migrate", &cluster.url("postgres")).status();
    assert!(migrated.expect("it runs").success());
    let page = include_str!("../../docs/SCALING.md");
    let mut said: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let line = line.replace('`', "");
            let columns: Vec<_> = line.split('|').map(str::trim).skip(1).take(3).collect();
            columns.join(" | ")
        })
        .collect();
    said.sort_unstable();
    let tables = cluster.ask("postgres", TABLES).expect("tables");
    assert_eq!(said, tables.lines().collect::<Vec<_>>());
}
