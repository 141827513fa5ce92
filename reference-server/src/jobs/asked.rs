use std::collections::HashMap;
use std::time::Duration;

use identity_store::{Change, Error, Job, JobId, JobProgress, JobStatus, JobWork, Lease};
use rand_core::CryptoRng;
use tokio::time::Instant;

use super::{Pace, log_failure};
use crate::backoff::{doubled, jittered};
use crate::clock::entropy;
use crate::{App, denials};

/// The job's name in logs and metrics.
const JOB: &str = "jobs";
/// How many devices one transaction deals with: few enough that others hardly wait for it.
const BATCH: u32 = 50;
/// How many turns a device may fail at, for a reason that may pass, before it is passed over.
const TRIES: u32 = 5;
/// How long a job rests of which no device is left to be passed over, and which fails all the same: its end
/// does.
const FIRST_REST: Duration = Duration::from_secs(2);
/// How long it rests at most, when that goes on.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// Does the work of jobs that were asked for, a batch of each in turn, so that none waits for another's
/// end. What a batch did and how far the job came are one transaction, so that whoever goes on with it
/// begins where the last batch that was committed ended.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_secs(1));
    let mut trials = Trials::default();
    while pace.turn().await {
        while round(app, lease.as_ref(), &mut trials).await {}
    }
}

/// Goes on with every job, the one that was asked for first first; whether any of them got on.
async fn round(app: &App, lease: Option<&Lease>, trials: &mut Trials) -> bool {
    let (mut behind, mut got_on) = (None, false);
    while !app.drained.is_cancelled() {
        let next = log_failure(JOB, app.store.next_job(behind.as_ref()).await);
        let Some(job) = next.flatten() else {
            return got_on;
        };
        got_on |= go_on(app, &job, lease, trials).await;
        behind = Some(job);
    }
    false
}

/// Does a batch of a job; whether it got on.
async fn go_on(app: &App, job: &Job, lease: Option<&Lease>, trials: &mut Trials) -> bool {
    if trials.rests(&job.job_id, Instant::now()) {
        return false;
    }
    match work_on(app, job, lease, trials.batch(&job.job_id)).await {
        Ok(status) => {
            trials.succeeded(&job.job_id, status.has_ended());
            true
        }
        Err(error) => {
            let why = error.to_string();
            let next = trials.failed(&job.job_id, passing(&error));
            log_failure::<()>(JOB, Err(error));
            match next {
                Next::OneByOne => true,
                Next::Later => false,
                Next::PassOver => {
                    let passed = pass_over(app, job, lease, &why).await;
                    if !passed {
                        let rest = trials.rest(&job.job_id, Instant::now(), &mut entropy());
                        let seconds = rest.as_secs_f64();
                        tracing::warn!(job_id = %job.job_id, seconds, why, "a job's end failed, and it rests");
                    }
                    passed
                }
            }
        }
    }
}

/// Goes on behind the device that fails; whether there is one. It may be the job's end that fails.
async fn pass_over(app: &App, job: &Job, lease: Option<&Lease>, why: &str) -> bool {
    let (owner, id) = (job.tenant_id.as_ref(), &job.job_id);
    let change = change(app, job, lease);
    let passed = app.store.pass_device_over(change, owner, id, why).await;
    let Some(passed) = log_failure(JOB, passed) else {
        return false;
    };
    tracing::warn!(job_id = %id, failed = passed.failed, why, "a job failed at a device");
    passed.failed > job.failed
}

/// Whether what failed may succeed in a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Passing {
    /// Nothing is wrong with the device: the database is not there, or somebody else is at work.
    ByItself,
    /// It may be the device's fault.
    Perhaps,
    /// The device's row cannot be dealt with.
    Never,
}

fn passing(error: &Error) -> Passing {
    match error {
        Error::Busy { .. } | Error::Unreachable(_) => Passing::ByItself,
        Error::Conflict(identity_store::Conflict::LeaseLost) => Passing::ByItself,
        Error::Backend { .. } | Error::Conflict(_) => Passing::Perhaps,
        _ => Passing::Never,
    }
}

/// What to do about a batch that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    /// The devices one by one, so that one that cannot be dealt with is alone.
    OneByOne,
    /// The same again at the next turn.
    Later,
    /// Behind the device.
    PassOver,
}

/// The jobs in which something failed lately.
#[derive(Debug, Default)]
struct Trials(HashMap<JobId, Trial>);

#[derive(Debug, Default)]
struct Trial {
    /// How many devices are still dealt with one by one.
    one_by_one: u32,
    /// How often in a row the next of them failed.
    tries: u32,
    /// How often in a row it was to rest.
    rests: u32,
    /// Until when it does.
    rests_until: Option<Instant>,
}

impl Trials {
    /// How many devices the job's next transaction deals with.
    fn batch(&self, job_id: &JobId) -> u32 {
        match self.0.get(job_id) {
            Some(trial) if trial.one_by_one > 0 => 1,
            _ => BATCH,
        }
    }

    fn succeeded(&mut self, job_id: &JobId, has_ended: bool) {
        let Some(trial) = self.0.get_mut(job_id) else {
            return;
        };
        *trial = Trial {
            one_by_one: trial.one_by_one.saturating_sub(1),
            ..Trial::default()
        };
        if has_ended || trial.one_by_one == 0 {
            self.0.remove(job_id);
        }
    }

    fn failed(&mut self, job_id: &JobId, passing: Passing) -> Next {
        if passing == Passing::ByItself {
            return Next::Later;
        }
        let trial = self.0.entry(job_id.clone()).or_default();
        if trial.one_by_one == 0 {
            trial.one_by_one = BATCH;
            return Next::OneByOne;
        }
        trial.tries += 1;
        // What rested had its tries.
        if passing == Passing::Perhaps && trial.tries < TRIES && trial.rests == 0 {
            return Next::Later;
        }
        trial.tries = 0;
        Next::PassOver
    }

    /// Whether a job is left alone.
    fn rests(&self, job_id: &JobId, now: Instant) -> bool {
        let until = self.0.get(job_id).and_then(|trial| trial.rests_until);
        until.is_some_and(|until| now < until)
    }

    /// Leaves a job alone, for longer each time in a row; returns for how long.
    fn rest(&mut self, job_id: &JobId, now: Instant, rng: &mut impl CryptoRng) -> Duration {
        let trial = self.0.entry(job_id.clone()).or_default();
        let rest = jittered(doubled(FIRST_REST, trial.rests, LONGEST_REST), rng);
        trial.rests += 1;
        trial.rests_until = Some(now + rest);
        rest
    }
}

async fn work_on(
    app: &App,
    job: &Job,
    lease: Option<&Lease>,
    batch: u32,
) -> identity_store::Result<JobStatus> {
    let (owner, id) = (job.tenant_id.as_ref(), &job.job_id);
    let change = change(app, job, lease);
    let done = app.store.work_on_job(change, owner, id, batch).await?;
    take_up(app, &done).await;
    Ok(done.job.status)
}

/// As whoever asked for it, and in the name of their request.
fn change(app: &App, job: &Job, lease: Option<&Lease>) -> Change {
    let (actor, request_id) = (job.asked_by.clone(), job.request_id.as_str());
    let change = Change::new(app.clock.now(), actor, request_id);
    match lease {
        Some(lease) => change.under(lease.clone()),
        None => change,
    }
}

/// Other replicas hear of it.
async fn take_up(app: &App, progress: &JobProgress) {
    denials::publish(app, &progress.denied);
    let JobProgress { job, .. } = progress;
    if !job.status.has_ended() {
        return;
    }
    tracing::info!(
        job_id = %job.job_id, kind = job.work.kind(), done = job.done, failed = job.failed,
        "a job has ended"
    );
    if matches!(job.work, JobWork::RevokeCa { .. })
        && let Err(error) = app.reload_certificates().await
    {
        metrics::counter!("job_failures_total", "name" => JOB).increment(1);
        tracing::warn!(error = error.one_line(), "certificates were not taken up");
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn job_id() -> JobId {
        JobId::generate(OffsetDateTime::UNIX_EPOCH, &mut entropy())
    }

    #[test]
    fn a_device_that_fails_again_and_again_is_passed_over_and_holds_up_one_job_alone() {
        for (passing, tries) in [(Passing::Perhaps, TRIES), (Passing::Never, 1)] {
            let (mut trials, job, other) = (Trials::default(), job_id(), job_id());
            assert_eq!(trials.batch(&job), BATCH);
            assert_eq!(trials.failed(&job, passing), Next::OneByOne);
            // The devices before it.
            for _ in 0..3 {
                assert_eq!(trials.batch(&job), 1);
                trials.succeeded(&job, false);
            }
            for _ in 1..tries {
                assert_eq!(trials.failed(&job, passing), Next::Later, "{passing:?}");
                assert_eq!((trials.batch(&job), trials.batch(&other)), (1, BATCH));
            }
            assert_eq!(trials.failed(&job, passing), Next::PassOver, "{passing:?}");
            // Those behind it.
            for _ in 3..BATCH {
                assert_eq!(trials.batch(&job), 1);
                trials.succeeded(&job, false);
            }
            assert_eq!(trials.batch(&job), BATCH);
            assert_eq!(trials.failed(&job, passing), Next::OneByOne);
            trials.succeeded(&job, true);
            assert!(trials.0.is_empty(), "it has ended");
        }
    }

    #[test]
    fn a_job_whose_end_fails_rests_longer_each_time_and_holds_up_no_other() {
        let (mut trials, job, other) = (Trials::default(), job_id(), job_id());
        let mut now = Instant::now();
        assert_eq!(trials.failed(&job, Passing::Perhaps), Next::OneByOne);
        for _ in 1..TRIES {
            assert_eq!(trials.failed(&job, Passing::Perhaps), Next::Later);
            assert!(!trials.rests(&job, now));
        }
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(trials.failed(&job, Passing::Perhaps), Next::PassOver);
            let rest = trials.rest(&job, now, &mut entropy());
            let wait = Duration::from_secs(seconds);
            assert!(
                wait * 80 / 100 <= rest && rest <= wait * 120 / 100,
                "{rest:?}"
            );
            let last = now + rest - Duration::from_millis(1);
            assert!(trials.rests(&job, now) && trials.rests(&job, last));
            assert!(!trials.rests(&other, now));
            now += rest;
            assert!(!trials.rests(&job, now));
            // The database is away meanwhile, which is nobody's fault.
            assert_eq!(trials.failed(&job, Passing::ByItself), Next::Later);
        }
        // One success, and it has its tries again.
        trials.succeeded(&job, false);
        assert_eq!(trials.failed(&job, Passing::Perhaps), Next::Later);
        trials.succeeded(&job, true);
        assert!(trials.0.is_empty(), "it has ended");
    }

    #[test]
    fn a_database_that_is_away_costs_no_device_a_try() {
        let (mut trials, job) = (Trials::default(), job_id());
        for _ in 0..2 * TRIES {
            assert_eq!(trials.failed(&job, Passing::ByItself), Next::Later);
        }
        assert_eq!(trials.batch(&job), BATCH);
    }
}
