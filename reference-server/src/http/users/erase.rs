use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use identity_store::{ErasureId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::erasure::log_tombstone;
use crate::http::text::Line;
use crate::http::{
    Answer, Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency,
};
use crate::{App, clock};

/// Why a user is erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ErasureRequest {
    /// It stays in the audit trail: it names nobody.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    reason: Line<200>,
}

/// An erasure that was begun.
#[derive(Debug, Serialize, ToSchema)]
struct StartedErasure {
    #[schema(value_type = String)]
    erasure_id: ErasureId,
}

/// Erases a user: from now on nobody finds them, what is open is canceled, and what is held of them goes
/// from the database and the palm server. A user who is being erased is answered with the same
/// erasure. Their id is free again when it is completed.
#[utoipa::path(delete, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])), request_body = ErasureRequest,
    params(("user_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 202, description = "The erasure was begun", body = StartedErasure),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn erase(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
    body: JsonBody<ErasureRequest>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::UsersDelete)?;
    let user_id: UserId = super::user_id(&user_id)?;
    let (actor, sha256, request) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        let running = app.store.erasure_of(&tenant_id, &user_id).await?;
        let erasure_id = running.map_or_else(
            || ErasureId::generate(context.now, &mut clock::entropy()),
            |running| running.tombstone.erasure_id,
        );
        let answer = Answer::accepted(&StartedErasure {
            erasure_id: erasure_id.clone(),
        })?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        let reason = request.reason.into_string();
        let begun = app
            .store
            .begin_erasure(change, &tenant_id, &user_id, erasure_id, reason)
            .await;
        let erasure = begun.map_err(super::refused)?;
        log_tombstone(&erasure.tombstone);
        Ok(answer)
    })
    .await
}
