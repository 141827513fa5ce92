//! Background work. Each job runs alone, at its own pace, until the server is to stop.

mod certificates;
mod deaf;
mod denials;
mod palm_erasure;
mod purge;
mod seal;
mod seen;
mod set_up;
mod superseded;
mod sweeper;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::App;

/// Starts every job.
pub fn start(app: &Arc<App>, tasks: &TaskTracker) {
    tasks.spawn(certificates::run(Arc::clone(app)));
    tasks.spawn(deaf::run(Arc::clone(app)));
    tasks.spawn(denials::run(Arc::clone(app)));
    tasks.spawn(palm_erasure::run(Arc::clone(app)));
    tasks.spawn(purge::run(Arc::clone(app)));
    tasks.spawn(seal::run(Arc::clone(app)));
    tasks.spawn(seen::run(Arc::clone(app)));
    tasks.spawn(set_up::run(Arc::clone(app)));
    tasks.spawn(superseded::run(Arc::clone(app)));
    tasks.spawn(sweeper::run(Arc::clone(app)));
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

    /// Waits for the next turn, or to be woken for one; `false` when the server is to stop.
    async fn turn_or(&mut self, woken: &Notify) -> bool {
        tokio::select! {
            () = woken.notified() => !self.app.shutdown.is_cancelled(),
            goes_on = self.turn() => goes_on,
        }
    }

    /// Waits for the next turn; `false` when the server is to stop.
    async fn turn(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.app.shutdown.cancelled() => false,
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
