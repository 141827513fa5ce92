use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_challenge::ChallengeStatus;
use identity_pki::DeviceId;
use identity_store::{ChallengeFilter, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::object::ChallengeObject;
use crate::App;
use crate::http::{
    Caller, List, Problem, ProblemDocument, Query, RequestContext, Right, page_request,
};

/// Which challenges to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[param(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    #[param(value_type = Option<String>)]
    status: Option<ChallengeStatus>,
    client_reference: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Lists challenges, newest first.
#[utoipa::path(get, path = "/v1/challenges", tag = "challenges", security(("bearer" = [])), params(Search), responses(
    (status = 200, description = "A page of challenges", body = List<ChallengeObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Json<List<ChallengeObject>>, Problem> {
    let tenant_id = caller.tenant(Right::ChallengesRead)?;
    let page = page_request(search.limit, search.cursor.as_deref())?;
    let filter = ChallengeFilter {
        user_id: search.user_id,
        device_id: search.device_id,
        status: search.status,
        client_reference: search.client_reference,
    };
    let challenges = app.store.challenges(&tenant_id, filter, page).await?;
    Ok(Json(List::of(challenges, |record| {
        ChallengeObject::of(record, context.now)
    })))
}
