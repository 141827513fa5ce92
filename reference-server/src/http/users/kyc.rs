use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_store::{Kyc, KycStatus};
use serde::Deserialize;
use utoipa::ToSchema;

use super::object::UserObject;
use crate::App;
use crate::http::text::Line;
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right};

/// The outcome of an identity verification.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KycOutcome {
    /// `none`, `pending`, `verified` or `failed`.
    #[schema(value_type = String)]
    status: KycStatus,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    provider: Option<Line<64>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    level: Option<Line<64>>,
}

/// Notes the outcome of a user's identity verification.
#[utoipa::path(put, path = "/v1/users/{user_id}/kyc", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)), request_body = KycOutcome,
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn set(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
    body: JsonBody<KycOutcome>,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let user_id = super::user_id(&user_id)?;
    let kyc = Kyc {
        status: body.value.status,
        provider: body.value.provider.map(Line::into_string),
        level: body.value.level.map(Line::into_string),
    };
    let change = context.change(caller.actor());
    let user = app.store.set_kyc(change, &tenant_id, &user_id, kyc).await;
    Ok(Json(user.map_err(super::refused)?.into()))
}
