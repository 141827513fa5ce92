//! Clusters do what tests of faults rely on, with each installation, and leave nothing behind.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::Arguments;
use postgres_cluster::{
    Cluster, Installation, InstallationTest, Server, Stop, installation_tests, on_installations,
};

/// Has this program start a cluster, say where it is, and wait to be killed.
const VICTIM: &str = "POSTGRES_CLUSTER_VICTIM";

const TESTS: &[InstallationTest] = installation_tests![
    a_stopped_cluster_comes_back_at_its_port_with_what_was_committed,
    a_killed_server_recovers_what_was_committed,
    a_cluster_ends_with_the_test_that_panics,
    a_cluster_ends_with_the_process_that_is_killed,
    nobody_comes_in_without_the_password,
    databases_of_tests_are_apart_and_go_with_them,
    parameters_change_while_it_runs,
    tls_is_offered_with_the_certificate_that_was_given,
    a_caller_in_a_runtime_may_wait,
];

/// Tests that need `pg_basebackup`.
const COPYING: &[InstallationTest] = installation_tests![
    a_standby_has_what_was_answered_and_becomes_the_primary,
    a_backup_goes_back_to_the_moment_that_was_asked_for,
];

fn main() -> ExitCode {
    if std::env::var_os(VICTIM).is_some() {
        return victim();
    }
    let arguments = Arguments::from_args();
    let trials = on_installations(TESTS, COPYING);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Starts a cluster with one committed row.
fn with_a_row(installation: &Installation) -> Cluster {
    let cluster = Cluster::start(installation);
    cluster.execute(
        "postgres",
        "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('kept')",
    );
    cluster
}

fn rows(cluster: &Cluster) -> Option<String> {
    cluster.ask("postgres", "SELECT string_agg(v, ',' ORDER BY v) FROM t")
}

fn a_stopped_cluster_comes_back_at_its_port_with_what_was_committed(installation: &Installation) {
    let cluster = with_a_row(installation);
    let port = cluster.port();
    for how in [Stop::Fast, Stop::Immediate] {
        cluster.stop(how);
        assert!(
            std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(),
            "{how:?}"
        );
        cluster.resume();
        assert_eq!(cluster.port(), port);
        assert_eq!(rows(&cluster).as_deref(), Some("kept"), "{how:?}");
    }
}

fn a_killed_server_recovers_what_was_committed(installation: &Installation) {
    let cluster = with_a_row(installation);
    for _ in 0..3 {
        cluster.kill();
        cluster.resume();
        assert_eq!(rows(&cluster).as_deref(), Some("kept"));
    }
    assert!(
        cluster.log().contains("automatic recovery"),
        "{}",
        cluster.log()
    );
}

/// Whether a process is there, zombies not counted.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

/// The server's process id.
fn postmaster(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
}

fn a_cluster_ends_with_the_test_that_panics(installation: &Installation) {
    let installation = installation.clone();
    let (folder, pid) = std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let test = scope.spawn(move || {
            let cluster = Cluster::start(&installation);
            let folder = cluster.folder().to_owned();
            tell.send((folder.clone(), postmaster(&folder))).unwrap();
            std::panic::resume_unwind(Box::new("the test goes wrong"));
        });
        assert!(test.join().is_err());
        told.recv().unwrap()
    });
    assert!(!folder.exists() && !runs(&pid));
}

fn victim() -> ExitCode {
    let cluster = Cluster::start(&Installation::first().unwrap());
    let folder = cluster.folder();
    println!("{}\n{}", folder.display(), postmaster(folder));
    // Standard input never ends here: the process is killed.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::FAILURE
}

fn a_cluster_ends_with_the_process_that_is_killed(installation: &Installation) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .env(VICTIM, "1")
        .env("IDENTITY_POSTGRES", installation.program(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(victim.stdout.take().unwrap()).lines();
    let folder = said.next().unwrap().unwrap();
    let pid = said.next().unwrap().unwrap();
    assert!(runs(&pid));
    victim.kill().unwrap();
    victim.wait().unwrap();
    let gone = || !Path::new(&folder).exists() && !runs(&pid);
    for _ in 0..1_500 {
        if gone() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{folder} and process {pid} were left behind");
}

fn nobody_comes_in_without_the_password(installation: &Installation) {
    let cluster = Cluster::start(installation);
    let methods = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules";
    let methods = cluster.ask("postgres", methods);
    assert_eq!(methods.as_deref(), Some("scram-sha-256"));
    let wrong = cluster
        .url("postgres")
        .replace("://postgres:", "://postgres:wrong");
    let refused = postgres_cluster::refusal(&wrong, "SELECT 1");
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    let data = std::fs::metadata(cluster.folder()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&data.permissions());
    assert_eq!(mode & 0o077, 0, "the password lies in there");
}

fn databases_of_tests_are_apart_and_go_with_them(installation: &Installation) {
    let cluster = Cluster::options(installation).throw_away().start();
    let (one, other) = (cluster.database(), cluster.database());
    assert_ne!(one.url(), other.url());
    for database in [&one, &other] {
        cluster.execute(database.name(), "CREATE TABLE t (v TEXT)");
    }
    let count = "SELECT count(*)::text FROM pg_database WHERE datname LIKE 'test\\_%'";
    assert_eq!(cluster.ask("postgres", count).as_deref(), Some("2"));
    drop((one, other));
    assert_eq!(cluster.ask("postgres", count).as_deref(), Some("0"));
}

fn parameters_change_while_it_runs(installation: &Installation) {
    let cluster = Cluster::options(installation)
        .set("application_name", "it's")
        .start();
    let shown = || {
        cluster.ask(
            "postgres",
            "SELECT reset_val FROM pg_settings WHERE name = 'search_path'",
        )
    };
    let before = shown();
    cluster.set(&[("search_path", "it_is_set")]);
    assert_ne!(shown(), before);
    cluster.stop(Stop::Fast);
    cluster.resume();
    assert_eq!(shown().as_deref(), Some("it_is_set"));
}

fn tls_is_offered_with_the_certificate_that_was_given(installation: &Installation) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let cluster = Cluster::options(installation)
        .tls(&certificate, &key.serialize_pem())
        .start();
    let root = cluster.folder().join("data/server.crt");
    let url = cluster.url("postgres").replace("127.0.0.1", "localhost");
    let url = format!("{url}?sslmode=verify-full&sslrootcert={}", root.display());
    let used = postgres_cluster::ask(
        &url,
        "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    );
    assert_eq!(used.as_deref(), Some("true"));
}

fn a_caller_in_a_runtime_may_wait(installation: &Installation) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let server = Server::all()
        .into_iter()
        .find(|server| server.name().ends_with(&installation.major().to_string()))
        .unwrap();
    let name = runtime.block_on(async { server.database().name().to_owned() });
    assert!(name.starts_with("test_"));
}

fn a_standby_has_what_was_answered_and_becomes_the_primary(installation: &Installation) {
    let primary = with_a_row(installation);
    primary.set(&[
        ("synchronous_standby_names", "two"),
        ("synchronous_commit", "remote_apply"),
    ]);
    let standby = primary.standby("two");
    primary.execute("postgres", "INSERT INTO t VALUES ('answered')");
    assert_eq!(rows(&standby).as_deref(), Some("answered,kept"));
    primary.kill();
    let waits = standby.ask("postgres", "SHOW synchronous_standby_names");
    assert_eq!(waits.as_deref(), Some("two"), "it would wait for itself");
    standby.set(&[("synchronous_standby_names", "")]);
    standby.promote();
    standby.execute("postgres", "INSERT INTO t VALUES ('new')");
    assert_eq!(rows(&standby).as_deref(), Some("answered,kept,new"));
}

fn a_backup_goes_back_to_the_moment_that_was_asked_for(installation: &Installation) {
    let cluster = with_a_row(installation);
    let archive = cluster.folder().join("archive");
    let archive = archive.display();
    let command = format!("mkdir -p {archive} && cp %p {archive}/%f");
    cluster.set(&[("archive_mode", "on"), ("archive_command", &command)]);
    cluster.stop(Stop::Fast);
    cluster.resume();
    let backup = cluster.backup();
    cluster.execute("postgres", "INSERT INTO t VALUES ('before')");
    let moment = cluster.ask("postgres", "SELECT clock_timestamp()::text");
    cluster.execute("postgres", "INSERT INTO t VALUES ('later')");
    let last = cluster.ask("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
    let archived = "(SELECT last_archived_wal FROM pg_stat_archiver)";
    cluster.wait_until("postgres", &format!("{archived} >= '{}'", last.unwrap()));
    cluster.stop(Stop::Fast);
    let restored = backup.restore(&[
        ("restore_command", &format!("cp {archive}/%f %p")),
        ("recovery_target_time", &moment.unwrap()),
    ]);
    assert_eq!(rows(&restored).as_deref(), Some("before,kept"));
}
