use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;
use crate::superseded::{self, Audited};

/// Audits superseded certificates that were offered, within a second.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    let mut audited = Audited::default();
    while pace.turn().await {
        log_failure("superseded", superseded::audit(&app, &mut audited).await);
    }
}
