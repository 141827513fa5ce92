use std::sync::Arc;
use std::time::Duration;

use super::Pace;
use crate::App;

/// Takes up a server certificate and CAs that another replica stored, when it hears of them and every
/// five seconds.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(5));
    while pace.turn_or(&app.notices.certificates).await {
        if let Err(error) = app.follow_certificates().await {
            metrics::counter!("job_failures_total", "name" => "certificates").increment(1);
            tracing::warn!(error = error.one_line(), "certificates were not taken up");
        }
    }
}
