use std::sync::Arc;
use std::time::Duration;

use biowave_client::Error;
use identity_store::{Actor, Change, PalmErasure};

use super::{Pace, log_failure};
use crate::App;

/// How many erasures one turn takes up.
const BATCH: u32 = 50;
/// The time between two turns.
const PERIOD: Duration = Duration::from_secs(2);
/// The most turns that are left out after failures in a row.
const MAX_LEFT_OUT: u32 = 64;

/// Erases palms at the palm server that their users took back, until it has answered for each. While
/// the palm server fails, turns are left out, twice as many each time.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, PERIOD);
    let (mut patience, mut left_out) = (0_u32, 0);
    while pace.turn().await {
        if left_out > 0 {
            left_out -= 1;
        } else if erase_due(&app).await {
            patience = 0;
        } else {
            patience = patience.saturating_mul(2).clamp(1, MAX_LEFT_OUT);
            left_out = patience;
        }
    }
}

/// Works off what is due, each for itself, so that one that fails holds up no other; `false` when one
/// failed. A palm server that does not answer at all is not asked on.
async fn erase_due(app: &App) -> bool {
    let due = app.store.due_palm_erasures(BATCH).await;
    let mut all_done = true;
    for erasure in log_failure("palm_erasure", due).unwrap_or_default() {
        match erase(app, erasure).await {
            Erased::Done => {}
            Erased::Refused => all_done = false,
            Erased::NoAnswer => return false,
        }
    }
    all_done
}

/// What came of one erasure.
enum Erased {
    Done,
    Refused,
    NoAnswer,
}

async fn erase(app: &App, erasure: PalmErasure) -> Erased {
    let PalmErasure {
        tenant_id,
        user_id,
        palm_type,
        ..
    } = &erasure;
    match app.palm.erase(tenant_id, user_id, *palm_type).await {
        Some(Ok(())) => {
            let actor = Actor::System("palm_erasure");
            let change = Change::new(app.clock.now(), actor, "job:palm_erasure");
            log_failure(
                "palm_erasure",
                app.store.finish_palm_erasure(change, erasure).await,
            );
            Erased::Done
        }
        Some(Err(error)) => {
            metrics::counter!("job_failures_total", "job" => "palm_erasure").increment(1);
            tracing::warn!(%error, "a palm could not be erased at the palm server");
            match error {
                Error::Refused(_) => Erased::Refused,
                _ => Erased::NoAnswer,
            }
        }
        // What is due waits for a palm server.
        None => Erased::NoAnswer,
    }
}
