//! `kill -9`, at random points, many times.

use std::time::Duration;

use crate::harness::Random;
use crate::invariants::Invariants;
use crate::stage::Stage;
use crate::template::Backend;
use crate::workload::Workload;
use crate::{rounds, seed};

/// The latest moment of a kill after the server listens, in milliseconds.
const LATEST_MS: u64 = 600;

/// Time passes until the dead process has lost its leases, so that its jobs are under way again when
/// the next one is killed.
pub(crate) const LEASES_END: &str = "UPDATE leases SET lease_until = 0";

/// Where each of these paths ends, an answer has to be cut off by a kill.
const CUT: [&str; 4] = ["/devices/pair", "/devices/renew", "/enroll", "/complete"];

/// So many times more than usual it is killed at most until that is so.
const AT_MOST: usize = 10;

/// Pairing, renewal, enrolment, completion and revocation are under way whenever it comes.
pub(crate) async fn a_server_that_is_killed_at_any_moment_loses_nothing() {
    killed_again_and_again(Stage::open().await).await;
}

pub(crate) async fn a_server_on_postgresql_that_is_killed_at_any_moment_loses_nothing() {
    killed_again_and_again(Stage::on(Backend::Postgres, 1).await).await;
}

/// The jobs that it did pass on to the other, which serves on, and come back.
pub(crate) async fn of_two_replicas_one_is_killed_at_any_moment_and_nothing_is_lost() {
    killed_again_and_again(Stage::on(Backend::Postgres, 2).await).await;
}

/// Kills the first replica at random moments.
async fn killed_again_and_again(mut stage: Stage) {
    let mut random = Random::seeded(seed());
    let workload = Workload::start(&stage, 3, 2);
    let (enough, mut kills) = (rounds(12), 0);
    while kills < enough || !each_was_cut(&stage) {
        assert!(kills < enough * AT_MOST, "never cut: one of {CUT:?}");
        kills += 1;
        tokio::time::sleep(Duration::from_millis(random.below(LATEST_MS))).await;
        stage.kill(0);
        stage.database.tamper(LEASES_END).await;
        stage.start(0);
    }
    // Each client gets through at least once when nothing goes wrong any more.
    workload.goes_on().await;
    workload.finish().await;
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.certificates > 0 && extent.palms > 0, "{extent:?}");
}

/// Whether requests of every kind were on their way when their connection ended.
fn each_was_cut(stage: &Stage) -> bool {
    let cut = &stage.clients.journal.book().cut;
    CUT.iter()
        .all(|end| cut.iter().any(|path| path.ends_with(end)))
}
