//! Jobs: work that goes on after the answer to whoever asked for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::TenantId;
use identity_store::{
    Actor, DeviceAction, DeviceSelection, Job, JobId, JobStatus, JobWork, NewJob,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Answer, Caller, Keep, PathId, Problem, ProblemDocument, RequestContext, Right, Timestamp,
};
use crate::{App, clock};

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// A job that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StartedJob {
    #[schema(value_type = String)]
    job_id: JobId,
    /// How many devices it found.
    matched: u64,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
struct JobObject {
    #[schema(value_type = String)]
    job_id: JobId,
    /// `revoke_tenant`, `revoke_ca`, `revoke_devices`, `tag_devices` or `untag_devices`.
    kind: &'static str,
    /// The tenant's id, or the fingerprint of the CA.
    target: String,
    /// Why, in the words of whoever asked for it.
    reason: Option<String>,
    /// `queued`, `running`, `succeeded`, `partially_failed` or `failed`.
    #[schema(value_type = String)]
    status: JobStatus,
    /// How many devices it found when it was asked for; how many it dealt with once it has ended.
    total: u64,
    done: u64,
    failed: u64,
    /// The console user or the OAuth client who asked for it.
    asked_by: String,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<Job> for JobObject {
    fn from(job: Job) -> Self {
        Self {
            kind: job.work.kind(),
            target: job.work.target(),
            reason: job.work.reason().map(ToOwned::to_owned),
            job_id: job.job_id,
            status: job.status,
            total: job.total,
            done: job.done,
            failed: job.failed,
            asked_by: job.asked_by.id().to_owned(),
            created_at: Timestamp(job.created_at),
            ended_at: job.ended_at.map(Timestamp),
        }
    }
}

/// Reads a job: the platform's for its administrators, a tenant's for the tenant's.
#[utoipa::path(get, path = "/v1/jobs/{job_id}", tag = "jobs", security(("bearer" = [])),
    params(("job_id" = String, Path)),
    responses(
        (status = 200, description = "The job", body = JobObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(job_id): PathId<JobId>,
) -> Result<Json<JobObject>, Problem> {
    let owner = match caller.platform(Right::Jobs) {
        Ok(_) => None,
        Err(_) => Some(caller.tenant(Right::DeviceJobs)?),
    };
    let job = app.store.job(owner.as_ref(), &job_id).await?;
    let job = job.ok_or_else(|| Problem::not_found("job"))?;
    Ok(Json(job.into()))
}

/// Queues a job of the platform's. Its answer is kept with it.
pub(super) async fn start(
    app: &App,
    request: &RequestContext,
    keep: Keep,
    asked_by: Actor,
    work: JobWork,
) -> Result<Answer, Problem> {
    let job_id = JobId::generate(request.now, &mut clock::entropy());
    let matched = app.store.matched_devices(&work).await?;
    let answer = Answer::accepted(&StartedJob {
        job_id: job_id.clone(),
        matched,
    })?;
    let change = request.change(asked_by.clone());
    let job = NewJob {
        job_id,
        tenant_id: None,
        work,
        total: matched,
        asked_by,
    };
    let change = keep.answer(change, &answer);
    app.store.create_job(change, job).await?;
    Ok(answer)
}

/// Queues a job for devices of a tenant. Its answer is kept with it.
pub(super) async fn start_for_devices(
    app: &App,
    request: &RequestContext,
    keep: Keep,
    (asked_by, tenant_id): (Actor, TenantId),
    action: DeviceAction,
    devices: DeviceSelection,
) -> Result<Answer, Problem> {
    let job_id = JobId::generate(request.now, &mut clock::entropy());
    let matched = app.store.selected_devices(&tenant_id, devices.clone());
    let matched = matched.await?;
    let answer = Answer::accepted(&StartedJob {
        job_id: job_id.clone(),
        matched,
    })?;
    let change = keep.answer(request.change(asked_by.clone()), &answer);
    let job = NewJob {
        job_id,
        tenant_id: Some(tenant_id.clone()),
        work: JobWork::Devices { tenant_id, action },
        total: matched,
        asked_by,
    };
    app.store.create_device_job(change, job, devices).await?;
    Ok(answer)
}
