use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;

/// Stops a process that serves plain HTTP once the store has a server certificate, so that it is
/// started again with HTTPS: the other replicas of the one that took the upload follow it.
pub(super) async fn run(app: Arc<App>) {
    if app.tls.is_https() {
        return;
    }
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    while pace.turn().await {
        if log_failure("set_up", app.store.server_cert().await)
            .flatten()
            .is_some()
        {
            tracing::info!("a server certificate was uploaded: restart to serve HTTPS");
            app.shutdown.cancel();
            return;
        }
    }
}
