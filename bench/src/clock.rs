//! What the benches read time from.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;

/// What this thread has used of a processor: on a machine that is busy with other things too, time
/// that passes tells more about them.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Now, by which other programs judge our certificates.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a bench is a program, and nginx reads the same clock"
)]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
