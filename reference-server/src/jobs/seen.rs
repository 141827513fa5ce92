use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;

/// Writes down when devices were last seen: often enough for `connectivity`, whose first step is 30
/// seconds.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(5));
    while pace.turn().await {
        write(&app).await;
    }
    write(&app).await;
}

async fn write(app: &App) {
    let seen = app.seen.take();
    if !seen.is_empty() {
        log_failure("touch_devices", app.store.touch_devices(seen).await);
    }
}
