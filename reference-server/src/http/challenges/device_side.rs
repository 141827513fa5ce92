use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_challenge::OperationKind;
use identity_store::ChallengeStep;
use serde::Deserialize;
use utoipa::ToSchema;

use super::object::DeviceChallenge;
use super::own_challenge;
use crate::App;
use crate::http::text::Line;
use crate::http::{DeviceCaller, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext};

/// Only devices of a class that takes challenges are served here.
///
/// # Errors
///
/// 403 `device_class_not_allowed`.
pub(super) fn require_scanner(device: &DeviceCaller) -> Result<(), Problem> {
    let class = device.standing.class;
    if class.allows(OperationKind::Challenge) {
        Ok(())
    } else {
        let why = format!("A device of class {class} takes no challenges.");
        Err(Problem::new(ErrorCode::CallerClassNotAllowed, why))
    }
}

/// Takes a challenge up. A sample implies it.
#[utoipa::path(post, path = "/v1/challenges/{challenge_id}/claim", tag = "scanner", security(("device" = [])),
    params(("challenge_id" = String, Path)),
    responses(
        (status = 200, description = "The challenge, in progress", body = DeviceChallenge),
        (status = 409, description = "`challenge_terminal`", body = ProblemDocument),
        (status = 410, description = "`challenge_expired`", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn claim(
    State(app): State<Arc<App>>,
    context: RequestContext,
    device: DeviceCaller,
    Path(challenge_id): Path<String>,
) -> Result<Json<DeviceChallenge>, Problem> {
    step(&app, &context, &device, &challenge_id, ChallengeStep::Claim).await
}

/// Why a challenge is turned down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Denial {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    reason: Line<200>,
}

/// Turns a challenge down.
#[utoipa::path(post, path = "/v1/challenges/{challenge_id}/deny", tag = "scanner", security(("device" = [])),
    params(("challenge_id" = String, Path)), request_body = Denial,
    responses(
        (status = 200, description = "The challenge, denied", body = DeviceChallenge),
        (status = 409, description = "`challenge_terminal`", body = ProblemDocument),
        (status = 410, description = "`challenge_expired`", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn deny(
    State(app): State<Arc<App>>,
    context: RequestContext,
    device: DeviceCaller,
    Path(challenge_id): Path<String>,
    body: JsonBody<Denial>,
) -> Result<Json<DeviceChallenge>, Problem> {
    let reason = body.value.reason.into_string();
    step(
        &app,
        &context,
        &device,
        &challenge_id,
        ChallengeStep::Deny { reason },
    )
    .await
}

async fn step(
    app: &App,
    context: &RequestContext,
    device: &DeviceCaller,
    challenge_id: &str,
    step: ChallengeStep,
) -> Result<Json<DeviceChallenge>, Problem> {
    require_scanner(device)?;
    let challenge_id = super::challenge_id(challenge_id)?;
    own_challenge(app, device.identity(), &challenge_id).await?;
    let (change, tenant_id) = (
        context.change(device.actor()),
        device.identity().tenant_id(),
    );
    let record = app
        .store
        .transition_challenge(change, tenant_id, &challenge_id, step)
        .await?;
    Ok(Json(record.into()))
}
