use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Wait;
use super::device_side::require_scanner;
use super::object::DeviceChallenge;
use crate::App;
use crate::http::{
    ErrorCode, PollingDevice, Problem, ProblemDocument, Query, RequestContext, Timestamp,
};
use crate::waiters::Topic;

/// How long a device that does not wait should wait before it asks again.
pub(super) const NEXT_POLL_MS: u32 = 2000;

/// The work of a device.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pending {
    /// Oldest first.
    challenges: Vec<DeviceChallenge>,
    next_poll_ms: u32,
    server_time: Timestamp,
}

impl Pending {
    pub(super) fn of(challenges: Vec<DeviceChallenge>, now: OffsetDateTime) -> Self {
        Self {
            challenges,
            next_poll_ms: NEXT_POLL_MS,
            server_time: Timestamp(now),
        }
    }
}

/// The open challenges of the calling device, oldest first; with `wait`, as soon as there are any,
/// or when the time is over.
#[utoipa::path(get, path = "/v1/challenges/pending", tag = "scanner", security(("device" = [])), params(Wait), responses(
    (status = 200, description = "The open challenges", body = Pending),
    (status = 429, description = "`rate_limited`: polls come too fast", body = ProblemDocument),
    (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn pending(
    State(app): State<Arc<App>>,
    context: RequestContext,
    device: PollingDevice,
    Query(wait): Query<Wait>,
) -> Result<Json<Pending>, Problem> {
    let at_most = wait.duration()?;
    let identity = device.certificate().identity();
    let topic = Topic::Device(identity.clone());
    let mut waiter = app.waiters.listen(topic, at_most, &app.shutdown);
    let certificate = device.certificate().tbs_sha256();
    let pace = app.poll_pace.take_within(certificate, at_most);
    pace.await.map_err(too_early)?;
    let (caller, mut challenges) = device.work(&app, &context).await?;
    app.seen.note(identity.clone(), app.clock.now());
    require_scanner(&caller)?;
    while challenges.is_empty() && waiter.again().await {
        (_, challenges) = device.work(&app, &context).await?;
    }
    let challenges = challenges.into_iter().map(DeviceChallenge::from).collect();
    Ok(Json(Pending::of(challenges, app.clock.now())))
}

pub(super) fn too_early(early: Duration) -> Problem {
    Problem::new(
        ErrorCode::RateLimited,
        "Poll at most every 500 ms, and one at a time.",
    )
    .retry_after(early)
}
