//! The end of a server as the kernel brings it.

use std::ffi::OsStr;
use std::time::Duration;

use crate::home::{Home, succeed};

const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Kills the server and the processes that it started, and waits until they are gone.
pub(crate) fn kill(home: &Home) {
    let pid_file = home.data().join("postmaster.pid");
    let postmaster = std::fs::read_to_string(&pid_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse::<u32>().ok())
        .unwrap_or_else(|| panic!("no server runs in {}", home.path().display()));
    // The postmaster first: it must not start another in a dead one's place.
    signal(home, &[postmaster]);
    let children = children(postmaster);
    signal(home, &children);
    while [postmaster].iter().chain(&children).any(|pid| runs(*pid)) {
        std::thread::sleep(BETWEEN_LOOKS);
    }
    // Its number may be a zombie's for a while, if nobody buries orphans here, and would keep the
    // next server from starting.
    std::fs::remove_file(&pid_file)
        .unwrap_or_else(|error| panic!("{}: {error}", pid_file.display()));
}

fn signal(home: &Home, pids: &[u32]) {
    // A shell's own `kill`: the program of that name need not be installed. A process that ended
    // meanwhile is no failure.
    let mut shell = home.command(OsStr::new("/bin/sh"));
    shell.args(["-c", r#"kill -9 "$@" 2>/dev/null; true"#, "kill"]);
    succeed(shell.args(pids.iter().map(u32::to_string)));
}

/// The processes whose parent is `parent`, or was until it died.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    status(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// A process's state and its parent.
fn status(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything, so it is skipped from behind.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
