use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::object::UserObject;
use crate::App;
use crate::http::{Caller, Problem, ProblemDocument, RequestContext, Right};

/// Suspends a user: nothing is verified or enrolled, and what is open is canceled.
#[utoipa::path(post, path = "/v1/users/{user_id}/suspend", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn suspend(
    app: State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    user_id: Path<String>,
) -> Result<Json<UserObject>, Problem> {
    set_suspended(&app, &context, &caller, &user_id, true).await
}

/// Ends a suspension. A user who was locked is locked again.
#[utoipa::path(post, path = "/v1/users/{user_id}/reactivate", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn reactivate(
    app: State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    user_id: Path<String>,
) -> Result<Json<UserObject>, Problem> {
    set_suspended(&app, &context, &caller, &user_id, false).await
}

async fn set_suspended(
    app: &App,
    context: &RequestContext,
    caller: &Caller,
    user_id: &str,
    suspended: bool,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let user_id = super::user_id(user_id)?;
    let change = context.change(caller.actor());
    let user = app
        .store
        .set_user_suspended(change, &tenant_id, &user_id, suspended)
        .await;
    Ok(Json(user.map_err(super::refused)?.into()))
}

/// Starts the count of a user's failed tries again, and ends a lock.
#[utoipa::path(post, path = "/v1/users/{user_id}/clear-lock", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn clear_lock(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let user_id = super::user_id(&user_id)?;
    let change = context.change(caller.actor());
    let user = app.store.clear_lock(change, &tenant_id, &user_id).await;
    Ok(Json(user.map_err(super::refused)?.into()))
}
