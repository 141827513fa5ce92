//! Background work. Each job runs alone, at its own pace, until the last request has finished; then
//! it takes a last turn, where it has something to take up.
//!
//! The jobs of the whole platform run on one replica at a time: on the one that holds the job's
//! lease. A holder that was stopped may go on after another took over: its changes are fenced by the
//! lease, the sealer's and the purge's turns follow one another in the database, and whatever is over is
//! over for both. The jobs of a process, which keep its own memory in step with the database, run in each.

mod audit_months;
mod certificates;
mod deaf;
mod denials;
mod lease;
mod palm_erasure;
mod purge;
mod seal;
mod seen;
mod set_up;
mod superseded;
mod sweeper;

use std::sync::Arc;
use std::time::Duration;

use identity_store::{Actor, Change, Lease, LeaseName};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::App;
use lease::Lessee;

/// Starts every job.
pub fn start(app: &Arc<App>, tasks: &TaskTracker) {
    for name in LeaseName::ALL {
        tasks.spawn(platform_job(Arc::clone(app), name));
    }
    tasks.spawn(certificates::run(Arc::clone(app)));
    tasks.spawn(deaf::run(Arc::clone(app)));
    tasks.spawn(denials::run(Arc::clone(app)));
    tasks.spawn(seen::run(Arc::clone(app)));
    tasks.spawn(set_up::run(Arc::clone(app)));
    tasks.spawn(superseded::run(Arc::clone(app)));
}

/// Runs the job that a lease is the right to, while this replica holds it.
async fn platform_job(app: Arc<App>, name: LeaseName) {
    let lessee = Lessee::new(&app);
    let job = |lease| {
        let app = Arc::clone(&app);
        async move {
            match name {
                LeaseName::AuditMonths => audit_months::run(&app).await,
                LeaseName::AuditSealer => seal::run(&app).await,
                LeaseName::ChallengeSweeper => sweeper::run(&app, lease).await,
                LeaseName::PalmErasure => palm_erasure::run(&app, lease).await,
                LeaseName::Purge => purge::run(&app).await,
            }
        }
    };
    lessee.run(name, job).await;
}

/// A change that a job makes now, which does not commit when its lease passed on meanwhile.
fn change(app: &App, job: &'static str, lease: Option<&Lease>) -> Change {
    let change = Change::new(app.clock.now(), Actor::System(job), format!("job:{job}"));
    match lease {
        Some(lease) => change.under(lease.clone()),
        None => change,
    }
}

/// The pace of a job.
struct Pace<'a> {
    app: &'a App,
    interval: tokio::time::Interval,
}

impl<'a> Pace<'a> {
    /// A turn at once, and one in each `period` from then on; late turns are not made up for.
    fn every(app: &'a App, period: Duration) -> Self {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { app, interval }
    }

    /// Waits for the next turn, or to be woken for one; `false` when the last request
    /// has finished.
    async fn turn_or(&mut self, woken: &Notify) -> bool {
        tokio::select! {
            () = woken.notified() => !self.app.drained.is_cancelled(),
            goes_on = self.turn() => goes_on,
        }
    }

    /// Waits for the next turn; `false` when the last request has finished.
    async fn turn(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.app.drained.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}

/// Logs what a job's turn failed at; the next turn tries again.
fn log_failure<T>(job: &'static str, outcome: identity_store::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            metrics::counter!("job_failures_total", "job" => job).increment(1);
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(job, %error, source, "a job failed");
            None
        }
    }
}
