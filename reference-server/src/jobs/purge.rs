use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;

/// Deletes kept answers whose time is over, denials of certificates that expired by themselves, and
/// rate limits' buckets that are full.
pub(super) async fn run(app: &App) {
    let mut pace = Pace::every(app, Duration::from_secs(60));
    while pace.turn().await {
        let now = app.clock.now();
        log_failure("purge_answers", app.store.purge_answers(now).await);
        log_failure("purge_denials", app.store.purge_denials(now).await);
        log_failure("purge_buckets", app.store.purge_buckets(now).await);
    }
}
