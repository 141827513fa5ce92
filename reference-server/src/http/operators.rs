//! Console users (contract §3), kept by the platform's administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity_pki::TenantId;
use identity_store::{
    Actor, Change, NewOperator, Operator, OperatorEdit, OperatorId, PageRequest, RemoveTotp, Role,
    rfc3339,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Answer, Caller, Email, ErrorCode, JsonBody, List, PathId, Problem, ProblemDocument, Query,
    RequestContext, RequestId, Right, idempotency, page_request,
};
use crate::config::FirstAdmin;
use crate::password::Password;
use crate::{App, StartError, clock};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(remove_mfa))
}

/// Seeds a database without console users with the first platform administrator.
///
/// # Errors
///
/// [`StartError`] when the password cannot be hashed or the store fails.
pub async fn seed(app: &App, admin: FirstAdmin) -> Result<(), StartError> {
    if !app
        .store
        .operators(PageRequest::first(1))
        .await?
        .data
        .is_empty()
    {
        return Ok(());
    }
    let password = Password::from(admin.password.expose().to_owned());
    let now = app.clock.now();
    let operator = NewOperator {
        operator_id: OperatorId::generate(now, &mut clock::entropy()),
        email: admin.email,
        role: Role::PlatformAdmin,
        tenant_id: None,
        password: app.passwords.turn().await.hash(password).await?,
    };
    let change = Change::new(
        now,
        Actor::System("first_run"),
        RequestId::generate(now).as_str(),
    );
    if let Some(operator) = app.store.seed_operator(change, operator).await? {
        tracing::info!(operator_id = %operator.operator_id, "the first platform administrator was made");
    }
    Ok(())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConsoleUser {
    email: String,
    #[schema(value_type = String, example = "tenant_admin")]
    role: Role,
    /// For every role but `platform_admin`.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// The first password, which has to be changed; one is made when none is given.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleUserEdit {
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConsoleUser {
    id: String,
    /// `null` if it cannot be read: set it anew.
    email: Option<String>,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    must_change_password: bool,
    created_at: String,
}

impl From<Operator> for ConsoleUser {
    fn from(operator: Operator) -> Self {
        Self {
            id: operator.operator_id.to_string(),
            email: operator.email,
            role: operator.role,
            tenant_id: operator.tenant_id,
            must_change_password: operator.must_change_password,
            created_at: rfc3339(operator.created_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct MadeConsoleUser {
    id: String,
    email: String,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// Shown this once, and only when no password was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// 1 to 200, 50 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Makes a console user, who has to change the password.
#[utoipa::path(
    post, path = "/v1/admin/console-users", tag = "console users", security(("bearer" = [])),
    request_body = NewConsoleUser, params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The user.", body = MadeConsoleUser),
        (status = 409, description = "`conflict`: the address is taken.", body = ProblemDocument),
        (status = 422, description = "`validation_failed`", body = ProblemDocument),
    ),
)]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<NewConsoleUser>,
) -> Result<Response, Problem> {
    caller.platform(Right::ConsoleUsers)?;
    let actor = caller.actor();
    let sha256 = body.sha256();
    let new = body.value;
    let (app, request, actor) = (&app, &request, &actor);
    idempotency::run(app, request, actor, sha256, |keep| async move {
        let email = address(&new.email)?;
        check_scope(new.role, new.tenant_id.as_ref())?;
        let (password, shown) = first_password(new.password, &email, &app.config.product_name)?;
        let operator = NewOperator {
            operator_id: OperatorId::generate(request.now, &mut clock::entropy()),
            email,
            role: new.role,
            tenant_id: new.tenant_id,
            password: app
                .passwords
                .turn()
                .await
                .hash(password)
                .await
                .map_err(Problem::internal)?,
        };
        let answer = Answer::created(&MadeConsoleUser {
            id: operator.operator_id.to_string(),
            email: operator.email.clone(),
            role: operator.role,
            tenant_id: operator.tenant_id.clone(),
            initial_password: shown,
        })?;
        let change = keep.answer(request.change(actor.clone()), &answer);
        app.store.create_operator(change, operator).await?;
        Ok(answer)
    })
    .await
}

/// Lists console users, newest first.
#[utoipa::path(
    get, path = "/v1/admin/console-users", tag = "console users", security(("bearer" = [])),
    params(ListQuery),
    responses((status = 200, description = "The users.", body = List<ConsoleUser>)),
)]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<ConsoleUser>>, Problem> {
    caller.platform(Right::ConsoleUsers)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    Ok(Json(List::of(
        app.store.operators(page).await?,
        ConsoleUser::from,
    )))
}

/// Reads a console user.
#[utoipa::path(
    get, path = "/v1/admin/console-users/{id}", tag = "console users", security(("bearer" = [])),
    params(("id" = String, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user.", body = ConsoleUser),
        (status = 404, description = "`not_found`", body = ProblemDocument),
    ),
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<OperatorId>,
) -> Result<Json<ConsoleUser>, Problem> {
    caller.platform(Right::ConsoleUsers)?;
    let operator = app.store.operator(&id).await?;
    operator
        .map(|operator| Json(operator.into()))
        .ok_or_else(|| Problem::not_found("console user"))
}

/// Changes a console user's address or role. Another role ends their sessions.
#[utoipa::path(
    put, path = "/v1/admin/console-users/{id}", tag = "console users", security(("bearer" = [])),
    params(("id" = String, Path, description = "The user.")),
    request_body = ConsoleUserEdit,
    responses(
        (status = 200, description = "The user.", body = ConsoleUser),
        (status = 404, description = "`not_found`", body = ProblemDocument),
        (status = 409, description = "`last_platform_admin`, `conflict`", body = ProblemDocument),
    ),
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(id): PathId<OperatorId>,
    body: JsonBody<ConsoleUserEdit>,
) -> Result<Json<ConsoleUser>, Problem> {
    caller.platform(Right::ConsoleUsers)?;
    let edit = OperatorEdit {
        email: body.value.email.as_deref().map(address).transpose()?,
        role: body.value.role,
    };
    let change = request.change(caller.actor());
    Ok(Json(
        app.store.update_operator(change, &id, edit).await?.into(),
    ))
}

/// Deletes a console user.
#[utoipa::path(
    delete, path = "/v1/admin/console-users/{id}", tag = "console users",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The user.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "`not_found`", body = ProblemDocument),
        (status = 409, description = "`last_platform_admin`", body = ProblemDocument),
    ),
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(id): PathId<OperatorId>,
) -> Result<StatusCode, Problem> {
    caller.platform(Right::ConsoleUsers)?;
    app.store
        .delete_operator(request.change(caller.actor()), &id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes one-time codes and recovery codes from a console user who lost them, and ends the user's sessions.
///
/// The user then signs in with the password alone.
#[utoipa::path(
    delete, path = "/v1/admin/console-users/{id}/mfa", tag = "console users",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The user.")),
    responses(
        (status = 204, description = "Removed."),
        (status = 403, description = "`forbidden`: one's own are removed with one of them.", body = ProblemDocument),
        (status = 404, description = "`not_found`", body = ProblemDocument),
    ),
)]
async fn remove_mfa(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(id): PathId<OperatorId>,
) -> Result<StatusCode, Problem> {
    if caller.platform(Right::ConsoleUsers)? == id {
        return Err(Problem::new(
            ErrorCode::Forbidden,
            "Your own codes are removed with one of them, at /v1/auth/mfa/totp/remove.",
        ));
    }
    let remove = RemoveTotp {
        operator_id: id,
        shown: None,
        keep: None,
    };
    let change = request.change(caller.actor());
    app.store.remove_totp(change, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn address(text: &str) -> Result<String, Problem> {
    let email = Email::parse(text).map_err(|error| Problem::invalid("email", error.to_string()))?;
    Ok(email.into_string())
}

/// A platform administrator has no tenant, everyone else has one.
fn check_scope(role: Role, tenant_id: Option<&TenantId>) -> Result<(), Problem> {
    match (role, tenant_id) {
        (Role::PlatformAdmin, None) | (Role::TenantAdmin | Role::TenantOperator, Some(_)) => Ok(()),
        (Role::PlatformAdmin, Some(_)) => Err(Problem::invalid(
            "tenant_id",
            "must be absent for a platform_admin",
        )),
        (Role::TenantAdmin | Role::TenantOperator, None) => {
            Err(Problem::invalid("tenant_id", "is missing"))
        }
    }
}

/// The given password for the user of `product` at `email`, or a made one and its text to show.
fn first_password(
    given: Option<Password>,
    email: &str,
    product: &str,
) -> Result<(Password, Option<String>), Problem> {
    if let Some(password) = given {
        return match password.may_be_chosen_by(email, product) {
            Ok(()) => Ok((password, None)),
            Err(rule) => Err(Problem::invalid("password", rule.to_string())),
        };
    }
    let made = Password::generate();
    let shown = made.expose().to_owned();
    Ok((made, Some(shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_of_the_platform_or_of_a_tenant() {
        let acme = TenantId::new("acme").expect("tenant");
        for (role, tenant, good) in [
            (Role::PlatformAdmin, None, true),
            (Role::PlatformAdmin, Some(&acme), false),
            (Role::TenantAdmin, None, false),
            (Role::TenantAdmin, Some(&acme), true),
            (Role::TenantOperator, None, false),
            (Role::TenantOperator, Some(&acme), true),
        ] {
            assert_eq!(
                check_scope(role, tenant).is_ok(),
                good,
                "{role:?} {tenant:?}"
            );
        }
    }

    #[test]
    fn a_made_password_is_shown_and_good() {
        let (email, product) = ("root@example.com", "Link Identity");
        let (password, shown) = first_password(None, email, product).expect("made");
        assert_eq!(Some(password.expose()), shown.as_deref());
        assert_eq!(password.may_be_chosen_by(email, product), Ok(()));
        assert!(first_password(Some("short".to_owned().into()), email, product).is_err());
    }
}
