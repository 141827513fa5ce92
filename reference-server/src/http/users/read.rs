use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::object::UserObject;
use crate::App;
use crate::http::{Caller, List, Problem, ProblemDocument, Query, Right, page_request};

/// Which part of a list to read.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Lists the users, newest first.
#[utoipa::path(get, path = "/v1/users", tag = "users", security(("bearer" = [])), params(Paging), responses(
    (status = 200, description = "A page of users", body = List<UserObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<List<UserObject>>, Problem> {
    let tenant_id = caller.tenant(Right::UsersRead)?;
    let page = page_request(paging.limit, paging.cursor.as_deref())?;
    let users = app.store.users(&tenant_id, page).await?;
    Ok(Json(List::of(users, UserObject::from)))
}

/// Reads a user.
#[utoipa::path(get, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersRead)?;
    let user = app
        .store
        .user(&tenant_id, &super::user_id(&user_id)?)
        .await?;
    Ok(Json(user.ok_or_else(super::not_found)?.into()))
}
