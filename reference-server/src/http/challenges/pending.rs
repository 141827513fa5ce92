use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Wait;
use super::device_side::require_scanner;
use super::object::DeviceChallenge;
use crate::App;
use crate::http::{DeviceCaller, ErrorCode, Problem, ProblemDocument, Query, Timestamp};
use crate::waiters::Topic;

/// How long a device that does not wait should wait before it asks again.
const NEXT_POLL_MS: u32 = 2000;

/// The work of a device.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pending {
    /// Oldest first.
    challenges: Vec<DeviceChallenge>,
    next_poll_ms: u32,
    server_time: Timestamp,
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
    device: DeviceCaller,
    Query(wait): Query<Wait>,
) -> Result<Json<Pending>, Problem> {
    require_scanner(&device)?;
    let at_most = wait.duration()?;
    if at_most.is_zero() {
        app.poll_pace.take(device.identity()).map_err(|early| {
            Problem::new(
                ErrorCode::RateLimited,
                "Poll at most every 500 ms, or with `wait`.",
            )
            .retry_after(early)
        })?;
    }
    let topic = Topic::Device(device.identity().clone());
    let mut waiter = app.waiters.listen(topic, at_most, &app.shutdown);
    let open = async || {
        app.store
            .open_challenges(device.identity(), app.clock.now())
            .await
    };
    let mut challenges = open().await?;
    while challenges.is_empty() && waiter.again().await {
        challenges = open().await?;
    }
    Ok(Json(Pending {
        challenges: challenges.into_iter().map(DeviceChallenge::from).collect(),
        next_poll_ms: NEXT_POLL_MS,
        server_time: Timestamp(app.clock.now()),
    }))
}
