use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use identity_store::JobWork;
use serde::Deserialize;
use utoipa::ToSchema;

use super::parse_id;
use crate::App;
use crate::http::jobs::{self, StartedJob};
use crate::http::text::Line;
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency};

/// What is revoked, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeAll {
    /// The tenant's id once more: nothing brings the devices back but pairing each of them anew.
    confirm: String,
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    reason: Line<256>,
}

/// Revokes every device that the tenant has now, those that wait to be paired too: a job.
#[utoipa::path(
    post, path = "/v1/admin/tenants/{tenant_id}/devices/revoke-all", tag = "tenants",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RevokeAll,
    responses(
        (status = 202, description = "The job", body = StartedJob),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn revoke_all(
    State(app): State<Arc<App>>,
    request: RequestContext,
    caller: Caller,
    Path(tenant_id): Path<String>,
    body: JsonBody<RevokeAll>,
) -> Result<Response, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant_id = parse_id(&tenant_id)?;
    let (actor, sha256) = (caller.actor(), body.sha256());
    let RevokeAll { confirm, reason } = body.value;
    if confirm != tenant_id.as_str() {
        return Err(Problem::invalid("confirm", "must be the tenant's id"));
    }
    let (app, request) = (&app, &request);
    idempotency::run(app, request, &actor, sha256, |keep| async move {
        let reason = reason.into_string();
        let work = JobWork::RevokeTenant { tenant_id, reason };
        jobs::start(app, request, keep, caller.actor(), work).await
    })
    .await
}
