use std::time::Duration;

use identity_store::Lease;

use super::{Pace, change, log_failure};
use crate::App;

/// How many challenges one transaction expires.
const BATCH: u32 = 500;

/// Expires challenges within a second after their time.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_millis(500));
    while pace.turn().await {
        while sweep(app, lease.as_ref()).await >= usize::try_from(BATCH).unwrap_or(usize::MAX) {}
    }
}

/// Expires one batch; returns how many.
async fn sweep(app: &App, lease: Option<&Lease>) -> usize {
    let change = change(app, "sweeper", lease);
    let expired = app.store.expire_challenges(change, BATCH).await;
    log_failure("sweeper", expired).map_or(0, |expired| expired.len())
}
