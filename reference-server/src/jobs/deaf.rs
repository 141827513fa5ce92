use std::sync::Arc;
use std::time::Duration;

use super::Pace;
use crate::App;

/// While other replicas are not heard, has every waiting request read again once a second.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    while pace.turn().await {
        if app.notices.is_deaf() {
            app.waiters.notify_all();
        }
    }
}
