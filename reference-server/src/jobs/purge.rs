use std::time::Duration;

use super::{Pace, log_failure};
use crate::App;
use crate::webhooks::EVENTS_KEPT;

const PERIOD: Duration = Duration::from_secs(60);
/// How much a turn moves the purges of denials and events on: twice the time since the turn before, so that what
/// nobody did for a while is made up for, and a clock that is ahead does no harm for a week.
const STEP: time::Duration = time::Duration::minutes(2);
/// How long failed sign-ins are kept: far longer than they count, whatever the clocks of replicas say.
const FAILURES_KEPT: time::Duration = time::Duration::DAY;

/// How long jobs that have ended are kept; the audit trail tells of them for longer.
const JOBS_KEPT: time::Duration = time::Duration::days(30);

/// How long an authentication request whose time is over is told from one that never was.
const AUTH_REQUESTS_KEPT: time::Duration = time::Duration::HOUR;

/// Deletes jobs that ended long ago, kept answers whose time is over, denials of certificates that expired by
/// themselves, rate limits' buckets that are full, what is over of sign-ins, revoked tokens and used
/// assertions that are over, authentication requests that were over long ago, and old events with their
/// deliveries.
pub(super) async fn run(app: &App) {
    let mut pace = Pace::every(app, PERIOD);
    // The first turn follows no other: a process may start often.
    let mut step = time::Duration::ZERO;
    while pace.turn().await {
        let now = app.clock.now();
        log_failure("purge_answers", app.store.purge_answers(now).await);
        log_failure("purge_denials", app.store.purge_denials(now, step).await);
        log_failure("purge_buckets", app.store.purge_buckets(now).await);
        log_failure("purge_tokens", app.store.purge_tokens(now).await);
        let purged = app.store.purge_auth_requests(now - AUTH_REQUESTS_KEPT);
        log_failure("purge_auth_requests", purged.await);
        let purged = app.store.purge_sign_ins(now, now - FAILURES_KEPT).await;
        log_failure("purge_sign_ins", purged);
        log_failure("purge_jobs", app.store.purge_jobs(now - JOBS_KEPT).await);
        let purged = app.store.purge_events(now - EVENTS_KEPT, step).await;
        log_failure("purge_events", purged);
        step = STEP;
    }
}
