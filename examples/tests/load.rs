//! The load tool measures a small load. Its figures are nobody's concern here: every bar is one that
//! cannot be missed, but those that do not depend on the machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod server_binary;

use std::process::Command;

use libtest_mimic::{Arguments, Trial};
use server_binary::reference_server;

fn main() {
    let shell = Command::new("sqlite3").arg("-version").output();
    let has_shell = shell.is_ok_and(|said| said.status.success());
    let trials = vec![
        Trial::test("it_measures_pairings", || {
            measures("pairings --alone --requests 8 --turns 1 --connections 2", 1)
        }),
        Trial::test("it_measures_polls", || {
            measures("polls --requests 16 --turns 1 --devices 2", 1)
        }),
        Trial::test("it_measures_idle_devices", || {
            measures("idle --devices 12 --wait 1 --bar 1e9", 2)
        }),
        Trial::test(
            "it_finds_no_request_that_succeeds_after_a_revocation",
            || measures("revocations --devices 6 --p99 1e9 --worst 1e9", 5),
        ),
        Trial::test("it_measures_latencies", || {
            let sizes = "--few 10 20 --many 30 40";
            measures(
                &format!("latency {sizes} --requests 8 --devices 2 --bar 1e9"),
                3,
            )
        })
        .with_ignored_flag(!has_shell),
        Trial::test("it_measures_starts", || {
            measures("start --revoked 100 --turns 1 --bar 1e9", 1)
        })
        .with_ignored_flag(!has_shell),
    ];
    if !has_shell {
        #[expect(clippy::print_stdout, reason = "whoever runs the tests is told")]
        {
            println!("sqlite3 is not installed: what it seeds is ignored");
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Runs a load on a server with an embedded database; it has to print this many rows at its end, all
/// of whose bars hold.
fn measures(arguments: &str, rows: usize) -> Result<(), libtest_mimic::Failed> {
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    load.arg("--server").arg(reference_server());
    load.args(arguments.split_whitespace());
    let ended = load.env_remove("DATABASE_URL").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments}: {said}{complaint}");
    let printed = said.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(printed, rows, "{arguments}: {said}");
    Ok(())
}
