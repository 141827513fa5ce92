use std::time::Duration;

use biowave_client::Error;
use identity_store::{Lease, PalmErasure};
use time::OffsetDateTime;

use super::{Pace, change, log_failure};
use crate::App;

/// The job's name in audit rows, logs and metrics.
const JOB: &str = "palm_erasure";
/// How many erasures one turn takes up.
const BATCH: u32 = 50;
/// The time between two turns.
const PERIOD: Duration = Duration::from_secs(2);
/// The most turns that are left out after failures in a row.
const MAX_LEFT_OUT: u32 = 64;

/// Erases palms at the palm server that their users took back, until it has answered for each. While
/// the palm server fails, turns are left out, twice as many each time.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, PERIOD);
    let (mut patience, mut left_out) = (0_u32, 0);
    while pace.turn().await {
        if left_out > 0 {
            left_out -= 1;
        } else if erase_due(app, lease.as_ref()).await {
            patience = 0;
        } else {
            patience = patience.saturating_mul(2).clamp(1, MAX_LEFT_OUT);
            left_out = patience;
        }
    }
}

/// Works off what is due, each for itself, so that one that fails holds up no other; `false` when one
/// failed. A palm server that does not answer at all is not asked on.
async fn erase_due(app: &App, lease: Option<&Lease>) -> bool {
    let due = app.store.due_palm_erasures(BATCH).await;
    let mut all_done = true;
    for erasure in log_failure(JOB, due).unwrap_or_default() {
        if app.drained.is_cancelled() {
            break;
        }
        match erase(app, erasure, lease).await {
            Erased::Done | Erased::NotNow => {}
            Erased::Refused => all_done = false,
            Erased::NoAnswer => return false,
        }
    }
    all_done
}

/// What came of one erasure.
enum Erased {
    Done,
    /// Somebody else is at it, or the palm is being enrolled.
    NotNow,
    Refused,
    NoAnswer,
}

/// Erases one palm, of which no enrolment begins meanwhile.
async fn erase(app: &App, erasure: PalmErasure, lease: Option<&Lease>) -> Erased {
    let now = app.clock.now();
    let until = now + app.palm.erasure_time();
    let claimed = app.store.claim_palm_erasure(&erasure, now, until).await;
    if log_failure(JOB, claimed) != Some(true) {
        return Erased::NotNow;
    }
    let (tenant_id, user_id) = (&erasure.tenant_id, &erasure.user_id);
    let palm_type = erasure.palm_type;
    match app.palm.erase(tenant_id, user_id, palm_type).await {
        Some(Ok(())) => {
            let change = change(app, JOB, lease);
            log_failure(JOB, app.store.finish_palm_erasure(change, erasure).await);
            Erased::Done
        }
        Some(Err(error)) => failed(app, &erasure, until, &error).await,
        // What is due waits for a palm server.
        None => {
            give_back(app, &erasure, until).await;
            Erased::NoAnswer
        }
    }
}

/// The palm stays due. Where the palm server may still be about to erase it, it stays claimed too,
/// until that is over.
async fn failed(app: &App, erasure: &PalmErasure, until: OffsetDateTime, error: &Error) -> Erased {
    metrics::counter!("job_failures_total", "name" => JOB).increment(1);
    tracing::warn!(%error, "a palm could not be erased at the palm server");
    let answered = matches!(error, Error::Refused(_));
    if answered || !error.may_have_happened() {
        give_back(app, erasure, until).await;
    }
    if answered {
        Erased::Refused
    } else {
        Erased::NoAnswer
    }
}

async fn give_back(app: &App, erasure: &PalmErasure, until: OffsetDateTime) {
    log_failure(JOB, app.store.release_palm_erasure(erasure, until).await);
}
