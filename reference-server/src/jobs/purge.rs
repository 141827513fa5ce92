use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;

/// Deletes kept answers whose time is over, and denials of certificates that expired by themselves.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(60 * 60));
    while pace.turn().await {
        let now = app.clock.now();
        log_failure("purge_answers", app.store.purge_answers(now).await);
        log_failure("purge_denials", app.store.purge_denials(now).await);
    }
}
