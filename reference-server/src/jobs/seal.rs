use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;

/// How many rows one transaction seals.
const BATCH: u32 = 1000;

/// Gives audit rows their place in their chain, within a second of their commit.
pub(super) async fn run(app: &App) {
    let mut pace = Pace::every(app, Duration::from_secs(1));
    while pace.turn().await {
        seal_all(app).await;
    }
    // What the last requests committed.
    seal_all(app).await;
}

async fn seal_all(app: &App) {
    while log_failure("seal_audit", app.store.seal_audit(BATCH).await)
        .is_some_and(|sealed| sealed >= u64::from(BATCH))
    {}
}
