use std::time::Duration;

use identity_store::{Erasure, Lease};

use super::{Pace, change, log_failure};
use crate::App;
use crate::erasure::{ErasureReceipt, log_tombstone};

/// The job's name in audit rows, logs and metrics.
const JOB: &str = "user_erasure";
/// The time between two turns.
const PERIOD: Duration = Duration::from_secs(2);
/// How many erasures are read at once.
const PAGE: u32 = 100;
/// How many challenges one transaction deletes.
const BATCH: u32 = 500;

/// Deletes what the database holds of users who are erased, and completes their erasures when every
/// store has answered. The job `palm_erasure` asks the palm server.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, PERIOD);
    while pace.turn().await {
        go_on_with_all(app, lease.as_ref()).await;
    }
}

async fn go_on_with_all(app: &App, lease: Option<&Lease>) {
    let mut last = None;
    loop {
        let running = app.store.running_erasures(last.as_ref(), PAGE).await;
        let running = log_failure(JOB, running).unwrap_or_default();
        for erasure in &running {
            if !go_on(app, erasure, lease).await {
                return;
            }
        }
        match running.into_iter().next_back() {
            Some(end) => last = Some(end),
            None => return,
        }
    }
}

/// Does what can be done for one erasure now; `false` when the server stops.
async fn go_on(app: &App, erasure: &Erasure, lease: Option<&Lease>) -> bool {
    loop {
        if app.drained.is_cancelled() {
            return false;
        }
        let now = app.clock.now();
        let erased = app.store.erase_challenges(&erasure.tombstone, now, BATCH);
        match log_failure(JOB, erased.await) {
            Some(erased) if erased == u64::from(BATCH) => {}
            Some(_) => break,
            None => return true,
        }
    }
    complete(app, erasure, lease).await;
    true
}

/// Completes an erasure if every store has answered. The tombstone is logged before that is told: who was
/// told that a user is erased may count on it.
async fn complete(app: &App, erasure: &Erasure, lease: Option<&Lease>) {
    let change = change(app, JOB, lease);
    let Some(receipt) = ErasureReceipt::of(&app.issuer, erasure, change.at) else {
        return;
    };
    // Without the signing key it waits: the log of the start and /readyz tell why.
    let Some(tokens) = app.secrets.tokens.usable() else {
        return;
    };
    let receipt = match receipt.sign(tokens) {
        Ok(receipt) => receipt,
        Err(error) => {
            metrics::counter!("job_failures_total", "name" => JOB).increment(1);
            tracing::warn!(%error, "the receipt of an erasure could not be signed");
            return;
        }
    };
    log_tombstone(&erasure.tombstone);
    let completed = app
        .store
        .complete_erasure(change, &erasure.tombstone, receipt);
    log_failure(JOB, completed.await);
}
