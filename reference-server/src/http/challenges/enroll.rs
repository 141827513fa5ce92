use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_challenge::{ChallengeKind, PalmType, Ttl};
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

/// What every enrolment is for.
const CONTEXT: &str = "enrollment";

/// An enrolment to ask for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrollment {
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// `left` or `right`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    palm_type: PalmType,
    /// 15 to 600; the tenant's setting by default.
    #[schema(value_type = Option<u32>, minimum = 15, maximum = 600)]
    ttl_seconds: Option<Ttl>,
    /// The integrator's own data, at most 4 KiB; never sent to a device.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: SmallObject,
    /// The integrator's own reference.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    client_reference: Option<Line<128>>,
}

/// Asks a user to enrol a palm at a device.
#[utoipa::path(post, path = "/v1/enroll", tag = "challenges", security(("bearer" = [])), request_body = Enrollment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The challenge", body = CreatedChallenge),
        (status = 403, description = "`kyc_required`, `consent_required`", body = ProblemDocument),
        (status = 404, description = "`user_not_found`, `device_not_found`", body = ProblemDocument),
        (status = 409, description = "`device_not_paired`, `already_enrolled`, `device_busy`",
            body = ProblemDocument),
        (status = 422, description = "`device_class_not_allowed`", body = ProblemDocument),
        (status = 423, description = "`user_suspended`, `user_locked`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<Enrollment>,
) -> Result<Response, Problem> {
    let sha256 = body.sha256();
    let asked = body.value;
    let wanted = Wanted {
        kind: ChallengeKind::Enroll {
            palm_type: asked.palm_type,
        },
        user_id: asked.user_id,
        device_id: asked.device_id,
        context: CONTEXT.to_owned(),
        metadata: asked.metadata,
        display: None,
        binding_message: None,
        client_reference: asked.client_reference.map(Line::into_string),
        ttl: asked.ttl_seconds,
        max_attempts: None,
    };
    create_challenge(&app, &context, &caller, sha256, wanted).await
}
