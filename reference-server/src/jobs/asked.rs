use std::time::Duration;

use identity_store::{Actor, Change, Error, Job, JobProgress, JobWork, Lease};

use super::{Pace, log_failure};
use crate::{App, denials};

/// The job's name in logs and metrics.
const JOB: &str = "jobs";
/// How many devices one transaction deals with: few enough that others hardly wait for it.
const BATCH: u32 = 50;

/// Does the work of jobs that were asked for, the first one first, a batch at a time. What a batch did
/// and how far the job came are one transaction, so that whoever goes on with it begins where the last
/// batch that was committed ended.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_secs(1));
    while pace.turn().await {
        while !app.drained.is_cancelled() && go_on(app, lease.as_ref()).await {}
    }
}

/// Does one batch of the job that was asked for first; whether there may be more to do at once.
async fn go_on(app: &App, lease: Option<&Lease>) -> bool {
    let Some(job) = log_failure(JOB, app.store.next_job().await).flatten() else {
        return false;
    };
    match work_on(app, &job, lease, BATCH).await {
        Ok(()) => true,
        Err(error) if passes_by_itself(&error) => log_failure::<()>(JOB, Err(error)).is_some(),
        Err(_) => one_by_one(app, &job, lease).await,
    }
}

/// As [`work_on`] a batch, in which there is a device that cannot be dealt with: that one is passed over.
async fn one_by_one(app: &App, job: &Job, lease: Option<&Lease>) -> bool {
    for _ in 0..BATCH {
        match work_on(app, job, lease, 1).await {
            Ok(()) => {}
            Err(error) if passes_by_itself(&error) => {
                return log_failure::<()>(JOB, Err(error)).is_some();
            }
            Err(error) => {
                log_failure::<()>(JOB, Err(error));
                let (owner, id) = (job.tenant_id.as_ref(), &job.job_id);
                let passed = app
                    .store
                    .pass_device_over(change(app, job, lease), owner, id);
                let Some(passed) = log_failure(JOB, passed.await) else {
                    return false;
                };
                tracing::warn!(job_id = %id, failed = passed.failed, "a job failed at a device");
            }
        }
    }
    true
}

/// Whether what failed may well succeed in a while, and nothing is wrong with the device.
fn passes_by_itself(error: &Error) -> bool {
    matches!(
        error,
        Error::Busy { .. } | Error::Backend { .. } | Error::Unreachable(_) | Error::Conflict(_)
    )
}

async fn work_on(
    app: &App,
    job: &Job,
    lease: Option<&Lease>,
    batch: u32,
) -> identity_store::Result<()> {
    let (owner, id) = (job.tenant_id.as_ref(), &job.job_id);
    let change = change(app, job, lease);
    let done = app.store.work_on_job(change, owner, id, batch).await?;
    take_up(app, &done).await;
    Ok(())
}

/// As whoever asked for it, and in the name of their request.
fn change(app: &App, job: &Job, lease: Option<&Lease>) -> Change {
    let actor = Actor::Operator(job.asked_by.clone());
    let change = Change::new(app.clock.now(), actor, job.request_id.as_str());
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
        metrics::counter!("job_failures_total", "job" => JOB).increment(1);
        tracing::warn!(error = error.one_line(), "certificates were not taken up");
    }
}
