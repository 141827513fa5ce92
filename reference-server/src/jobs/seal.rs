use std::time::Duration;

use tokio::sync::MutexGuard;

use super::{Pace, log_failure};
use crate::App;
use crate::audit::heads::HeadSigner;

/// How many rows one transaction seals.
const BATCH: u32 = 1000;
/// How many turns lie between two times that signed heads are logged: half a minute.
const TURNS_PER_LOG: u32 = 30;

/// Gives audit rows and events their places within a second of their commit, makes the events deliveries, and
/// signs where the chains end.
pub(super) async fn run(app: &App) {
    let mut pace = Pace::every(app, Duration::from_secs(1));
    let mut signer = LogsAtEnd(app.head_signer.lock().await);
    for turn in (0..TURNS_PER_LOG).cycle() {
        let goes_on = pace.turn().await;
        // The last turn takes what the last requests committed.
        seal_all(app).await;
        fan_out_all(app).await;
        sign(app, &mut signer.0).await;
        if turn == 0 {
            signer.0.log();
        }
        if !goes_on {
            return;
        }
    }
}

/// Logs what was signed last when the job ends, or loses its lease.
struct LogsAtEnd<'a>(MutexGuard<'a, HeadSigner>);

impl Drop for LogsAtEnd<'_> {
    fn drop(&mut self) {
        self.0.log();
    }
}

async fn seal_all(app: &App) {
    while let Some(sealed) = log_failure("seal_audit", app.store.seal_audit(BATCH).await) {
        metrics::counter!("audit_rows_sealed_total").increment(sealed.rows);
        metrics::counter!("outbox_events_placed_total").increment(sealed.events);
        if !sealed.is_full(BATCH) {
            return;
        }
    }
}

/// Makes the events that have their place deliveries for the endpoints that subscribe to them.
async fn fan_out_all(app: &App) {
    while let Some(turn) = log_failure(
        "fan_out_events",
        app.store.fan_out_events(app.clock.now(), BATCH).await,
    ) {
        if turn.deliveries > 0 {
            metrics::counter!("webhook_deliveries_total").increment(turn.deliveries);
            app.webhooks.due.notify_one();
        }
        if turn.events < u64::from(BATCH) {
            return;
        }
    }
}

async fn sign(app: &App, signer: &mut HeadSigner) {
    if let Err(error) = signer.sign_grown(app).await {
        metrics::counter!("job_failures_total", "name" => "sign_heads").increment(1);
        tracing::warn!(job = "sign_heads", %error, "a job failed");
    }
}
