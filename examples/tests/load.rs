//! The load tool measures a small load. Its figures are nobody's concern here: every bar is one that
//! cannot be missed, but those that do not depend on the machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod server_binary;

use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use postgres_cluster::Server;
use server_binary::reference_server;

const LATENCY: &str =
    "latency --few 10 20 --many 30 40 --requests 8 --turns 2 --devices 2 --bar 1e9";
const REVOCATIONS: &str = "revocations --devices 6 --p99 1e9 --worst 1e9";
const COMPLETIONS: &str =
    "completions --rate 50 --devices 3 --people 2 --turns 1 --median 1e9 --p99 1e9";
const WAKES: &str = "wakes --devices 3 --challenges 2 --bar 1e9";
const START: &str = "start --revoked 100 --turns 1 --bar 1e9";

fn main() {
    let shell = Command::new("sqlite3").arg("-version").output();
    let has_shell = shell.is_ok_and(|said| said.status.success());
    let has_postgres = Server::first().is_some();
    let embedded = [
        (
            "it_measures_pairings",
            "pairings --alone --requests 8 --turns 1 --connections 2",
            1,
        ),
        (
            "it_measures_polls",
            "polls --requests 16 --turns 1 --devices 2",
            1,
        ),
        (
            "it_measures_idle_devices",
            "idle --devices 12 --wait 1 --bar 1e9",
            2,
        ),
        (
            "it_finds_no_request_that_succeeds_after_a_revocation",
            REVOCATIONS,
            5,
        ),
        ("it_measures_completions", COMPLETIONS, 3),
        ("it_measures_wakes", WAKES, 2),
    ];
    let seeded = [
        ("it_measures_latencies", LATENCY, 3),
        ("it_measures_starts", START, 1),
    ];
    let trial = |(name, arguments, rows): (&str, &'static str, usize)| {
        Trial::test(name, move || measures(arguments, None, rows))
    };
    let mut trials: Vec<_> = embedded.map(trial).into();
    trials.extend(seeded.map(|it| trial(it).with_ignored_flag(!has_shell)));
    let on_postgres = [
        Trial::test("it_measures_latencies_on_postgresql", || {
            let server = Server::first().ok_or("no PostgreSQL")?;
            let (few, many) = (server.database(), server.database());
            let arguments = format!("{LATENCY} --beside {}", few.url());
            measures(&arguments, Some(many.url()), 3)
        }),
        Trial::test("it_measures_starts_on_postgresql", || {
            let server = Server::first().ok_or("no PostgreSQL")?;
            measures(START, Some(server.database().url()), 1)
        }),
        Trial::test("it_measures_wakes_across_replicas", || {
            let server = Server::first().ok_or("no PostgreSQL")?;
            let arguments = format!("{WAKES} --replicas 2");
            measures(&arguments, Some(server.database().url()), 2)
        }),
        Trial::test("it_finds_none_on_replicas_that_are_not_notified", || {
            let server = Server::first().ok_or("no PostgreSQL")?;
            let arguments = format!("{REVOCATIONS} --replicas 2 --deaf");
            measures(&arguments, Some(server.database().url()), 5)
        }),
    ];
    trials.extend(on_postgres.map(|trial| trial.with_ignored_flag(!has_postgres)));
    #[expect(clippy::print_stdout, reason = "whoever runs the tests is told")]
    for (what, is_there) in [("sqlite3", has_shell), ("PostgreSQL", has_postgres)] {
        if !is_there {
            println!("{what} is not installed: what needs it is ignored");
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Runs a load on a server with this database, or an embedded one; it has to print this many rows at
/// its end, all of whose bars hold.
fn measures(arguments: &str, database: Option<&str>, rows: usize) -> Result<(), Failed> {
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    load.arg("--server").arg(reference_server());
    load.args(arguments.split_whitespace());
    load.env_remove("DATABASE_URL");
    load.envs(database.map(|url| ("DATABASE_URL", url)));
    let ended = load.output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments}: {said}{complaint}");
    let printed = said.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(printed, rows, "{arguments}: {said}");
    Ok(())
}
