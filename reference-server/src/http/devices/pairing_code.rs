use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::register::{Registered, new_code};
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency};
use crate::{App, denials};

/// How a new code is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCode {
    /// Whether a paired device is meant to be paired anew: its certificate is denied at once.
    #[serde(default)]
    replace: bool,
}

/// Gives a device a new pairing code, good for five minutes, in place of any earlier one.
#[utoipa::path(post, path = "/v1/devices/{device_id}/pairing-code", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = NewCode,
    responses(
        (status = 201, description = "The new code", body = Registered),
        (status = 409, description = "`device_already_paired`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(device_id): Path<String>,
    body: JsonBody<NewCode>,
) -> Result<Response, Problem> {
    let identity = super::identity(caller.tenant(Right::DevicesWrite)?, &device_id)?;
    let (actor, sha256, replace) = (caller.actor(), body.sha256(), body.value.replace);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        // The class never changes, so the answer can be made, and committed, with the change.
        let device = app.store.device(&identity, context.now).await?;
        let class = device.ok_or_else(super::not_found)?.binding.class();
        let (code, offer) = new_code(&app, context.now)?;
        let answer = Registered::answer(&identity, class, &code, offer.expires_at)?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        let issued = app
            .store
            .issue_pairing_code(change, &identity, offer, replace)
            .await;
        denials::publish(&app, &issued.map_err(super::refused)?.denied);
        Ok(answer)
    })
    .await
}
