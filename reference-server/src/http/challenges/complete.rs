use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest as _, Path, Request, State};

use super::capture_body::{CaptureBody, CaptureRequest};
use super::device_side::require_scanner;
use crate::App;
use crate::http::{DeviceCaller, ErrorCode, Problem, ProblemDocument, RequestContext};
use crate::palm::{self, CaptureRule, CompletionBody, PalmTypeRule};

/// Sends a palm sample for a challenge: JSON with base64, or multipart with binary parts, 8 MiB at
/// most. Every biometric outcome is 200.
#[utoipa::path(post, path = "/v1/challenges/{challenge_id}/complete", tag = "scanner", security(("device" = [])),
    params(("challenge_id" = String, Path)),
    request_body(content = CaptureRequest, description = "or multipart/form-data with the same names"),
    responses(
        (status = 200, description = "What the sample led to", body = CompletionBody),
        (status = 400, description = "`image_missing`, `image_invalid`", body = ProblemDocument),
        (status = 403, description = "`palm_type_restricted`", body = ProblemDocument),
        (status = 409, description = "`challenge_terminal`; `conflict`: another replica decides on a sample, and this one stops meanwhile", body = ProblemDocument),
        (status = 410, description = "`challenge_expired`", body = ProblemDocument),
        (status = 413, description = "`payload_too_large`", body = ProblemDocument),
        (status = 415, description = "`unsupported_media_type`", body = ProblemDocument),
        (status = 429, description = "`rate_limited`: too many captures at once", body = ProblemDocument),
        (status = 422, description = "`palm_type_mismatch`, `palm_type_required`", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn complete(
    State(app): State<Arc<App>>,
    context: RequestContext,
    device: DeviceCaller,
    Path(challenge_id): Path<String>,
    request: Request,
) -> Result<Json<CompletionBody>, Problem> {
    require_scanner(&device)?;
    let challenge_id = super::challenge_id(&challenge_id)?;
    let _slot = app.capture_slots.take(device.identity())?;
    let CaptureBody(capture) = CaptureBody::from_request(request, &app).await?;
    let asked = context.change(device.actor());
    palm::complete(&app, device.certificate, asked, challenge_id, capture)
        .await
        .map(Json)
}

impl From<CaptureRule> for Problem {
    fn from(rule: CaptureRule) -> Self {
        let code = match rule {
            CaptureRule::Missing { .. } => ErrorCode::ImageMissing,
            CaptureRule::Image { .. } => ErrorCode::ImageInvalid,
        };
        Self::new(code, format!("{rule}."))
    }
}

impl From<PalmTypeRule> for Problem {
    fn from(rule: PalmTypeRule) -> Self {
        let code = match rule {
            PalmTypeRule::Mismatch { .. } => ErrorCode::PalmTypeMismatch,
            PalmTypeRule::Required => ErrorCode::PalmTypeRequired,
            PalmTypeRule::Restricted => ErrorCode::PalmTypeRestricted,
        };
        Self::new(code, format!("{rule}."))
    }
}
