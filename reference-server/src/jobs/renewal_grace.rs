use std::time::Duration;

use identity_store::Lease;

use super::{Pace, change, log_failure};
use crate::{App, denials};

/// How many are ended in a turn.
const BATCH: u32 = 500;

/// Ends graces of superseded certificates within a second after their time.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_secs(1));
    while pace.turn().await {
        let overdue = app
            .store
            .overdue_renewal_graces(app.clock.now(), BATCH)
            .await;
        for (identity, superseded) in log_failure("renewal_grace", overdue).unwrap_or_default() {
            let change = change(app, "renewal_grace", lease.as_ref());
            let ended = app
                .store
                .end_renewal_grace(change, &identity, &superseded)
                .await;
            let denied = log_failure("renewal_grace", ended).flatten();
            denials::publish(app, denied.as_slice());
        }
    }
}
