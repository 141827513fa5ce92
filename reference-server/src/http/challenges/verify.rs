use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_challenge::{ChallengeKind, MaxAttempts, Ttl};
use identity_pki::DeviceId;
use identity_store::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::{Wanted, create_challenge};
use super::limits::SmallObject;
use super::object::CreatedChallenge;
use crate::App;
use crate::http::text::Line;
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext};

/// A verification to ask for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verification {
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// What for: shown at the device.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    context: Line<128>,
    /// The integrator's own data, at most 4 KiB; never sent to a device.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: SmallObject,
    /// 15 to 600; the tenant's setting by default.
    #[schema(value_type = Option<u32>, minimum = 15, maximum = 600)]
    ttl_seconds: Option<Ttl>,
    /// 1 to 10; the tenant's setting by default.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10)]
    max_attempts: Option<MaxAttempts>,
    /// What ties the two sides together for the user's eyes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    binding_message: Option<Line<128>>,
    /// What the device displays, at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    display: Option<SmallObject>,
    /// The integrator's own reference.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    client_reference: Option<Line<128>>,
}

/// Asks a user for their palm at a device.
#[utoipa::path(post, path = "/v1/verify", tag = "challenges", security(("bearer" = [])), request_body = Verification,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The challenge", body = CreatedChallenge),
        (status = 400, description = "`user_not_enrolled`", body = ProblemDocument),
        (status = 403, description = "`palm_type_restricted`", body = ProblemDocument),
        (status = 404, description = "`user_not_found`, `device_not_found`", body = ProblemDocument),
        (status = 409, description = "`device_not_paired`, `device_busy`", body = ProblemDocument),
        (status = 422, description = "`device_class_not_allowed`", body = ProblemDocument),
        (status = 423, description = "`user_suspended`, `user_locked`", body = ProblemDocument),
        (status = 429, description = "`user_throttled`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<Verification>,
) -> Result<Response, Problem> {
    let sha256 = body.sha256();
    let asked = body.value;
    let wanted = Wanted {
        kind: ChallengeKind::Verify,
        user_id: asked.user_id,
        device_id: asked.device_id,
        context: asked.context.into_string(),
        metadata: asked.metadata,
        display: asked.display,
        binding_message: asked.binding_message.map(Line::into_string),
        client_reference: asked.client_reference.map(Line::into_string),
        ttl: asked.ttl_seconds,
        max_attempts: asked.max_attempts,
    };
    create_challenge(&app, &context, &caller, sha256, wanted).await
}
