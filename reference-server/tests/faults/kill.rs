//! `kill -9`, at random points, many times.

use std::time::Duration;

use crate::harness::Random;
use crate::invariants::Invariants;
use crate::retry::until;
use crate::stage::Stage;
use crate::workload::Workload;
use crate::{rounds, seed};

/// The latest moment of a kill after the server listens, in milliseconds.
const LATEST_MS: u64 = 600;

/// Pairing, renewal, enrolment, completion and revocation are under way whenever it comes.
pub(crate) async fn a_server_that_is_killed_at_any_moment_loses_nothing() {
    let mut random = Random::seeded(seed());
    let mut stage = Stage::open().await;
    let workload = Workload::start(&stage, 3, 2);
    for _ in 0..rounds(12) {
        tokio::time::sleep(Duration::from_millis(random.below(LATEST_MS))).await;
        stage.kill(0);
        stage.start(0);
    }
    // Each client gets through at least once when nothing goes wrong any more.
    let done = workload.lives();
    until("every client goes on", async || workload.all_beyond(&done)).await;
    workload.finish().await;
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.certificates > 0 && extent.palms > 0, "{extent:?}");
    assert!(extent.lost_answers > 0, "{extent:?}");
}
