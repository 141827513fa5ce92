//! What a process has used of the processors.

use std::fs;
use std::time::Duration;

/// Of the kernel's user interface, on every architecture that Linux runs on (`getconf CLK_TCK`).
const TICKS_A_SECOND: u64 = 100;

/// User and system time of a process; nothing once it is gone.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // proc(5): the second field is in parentheses and may hold anything; the two are the 14th and
    // the 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

/// The processes that `pid` started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}
