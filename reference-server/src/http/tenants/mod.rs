//! Tenants and their settings (contract §4), for platform administrators.

mod config;
mod revoke_all;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use identity_pki::TenantId;
use identity_store::{Tenant, TenantConfig, TenantStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::config::ConfigObject;
use super::text::Line;
use super::{
    Answer, Caller, JsonBody, List, Problem, ProblemDocument, Query, RequestContext, Right,
    Timestamp, idempotency, page_request,
};
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, rename))
        .routes(routes!(suspend))
        .routes(routes!(activate))
        .routes(routes!(read_config, replace_config))
        .routes(routes!(revoke_all::revoke_all))
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantObject {
    #[schema(value_type = String)]
    tenant_id: TenantId,
    name: String,
    #[schema(value_type = String)]
    status: TenantStatus,
    created_at: Timestamp,
}

impl From<Tenant> for TenantObject {
    fn from(tenant: Tenant) -> Self {
        Self {
            tenant_id: tenant.tenant_id,
            name: tenant.name,
            status: tenant.status,
            created_at: Timestamp(tenant.created_at),
        }
    }
}

/// A tenant to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// `^[a-z][a-z0-9-]{1,62}$`
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9-]{1,62}$")]
    tenant_id: TenantId,
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    name: Line<128>,
}

/// A tenant's new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantName {
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    name: Line<128>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// 1 to 200.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the tenants, newest first.
#[utoipa::path(get, path = "/v1/admin/tenants", tag = "tenants", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of tenants", body = List<TenantObject>),
    (status = "4XX", body = ProblemDocument),
))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<TenantObject>>, Problem> {
    caller.platform(Right::Tenants)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    Ok(Json(List::of(
        app.store.tenants(page).await?,
        TenantObject::from,
    )))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/v1/admin/tenants", tag = "tenants", security(("bearer" = [])), request_body = NewTenant,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The tenant", body = TenantObject),
        (status = 409, description = "The id is taken", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<NewTenant>,
) -> Result<Response, Problem> {
    caller.platform(Right::Tenants)?;
    let (actor, sha256) = (caller.actor(), body.sha256());
    let NewTenant { tenant_id, name } = body.value;
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        let name = name.into_string();
        let tenant = TenantObject {
            tenant_id: tenant_id.clone(),
            name: name.clone(),
            status: TenantStatus::Active,
            created_at: Timestamp(context.now),
        };
        let answer = Answer::created(&tenant)?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.create_tenant(change, tenant_id, name).await?;
        Ok(answer)
    })
    .await
}

/// Reads a tenant.
#[utoipa::path(get, path = "/v1/admin/tenants/{tenant_id}", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)),
    responses(
        (status = 200, description = "The tenant", body = TenantObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<TenantObject>, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant = find(&app, &tenant_id).await?;
    Ok(Json(tenant.into()))
}

/// Renames a tenant.
#[utoipa::path(put, path = "/v1/admin/tenants/{tenant_id}", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)), request_body = TenantName,
    responses(
        (status = 200, description = "The tenant", body = TenantObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn rename(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(tenant_id): Path<String>,
    body: JsonBody<TenantName>,
) -> Result<Json<TenantObject>, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant_id = parse_id(&tenant_id)?;
    let change = context.change(caller.actor());
    let tenant = app
        .store
        .rename_tenant(change, &tenant_id, body.value.name.into_string())
        .await?;
    Ok(Json(tenant.into()))
}

/// Stops serving a tenant's callers, on every route.
#[utoipa::path(post, path = "/v1/admin/tenants/{tenant_id}/suspend", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)),
    responses(
        (status = 200, description = "The tenant", body = TenantObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn suspend(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<TenantObject>, Problem> {
    set_status(&app, &context, &caller, &tenant_id, TenantStatus::Suspended).await
}

/// Serves a tenant's callers again.
#[utoipa::path(post, path = "/v1/admin/tenants/{tenant_id}/activate", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)),
    responses(
        (status = 200, description = "The tenant", body = TenantObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn activate(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<TenantObject>, Problem> {
    set_status(&app, &context, &caller, &tenant_id, TenantStatus::Active).await
}

async fn set_status(
    app: &App,
    context: &RequestContext,
    caller: &Caller,
    tenant_id: &str,
    status: TenantStatus,
) -> Result<Json<TenantObject>, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant_id = parse_id(tenant_id)?;
    let change = context.change(caller.actor());
    let tenant = app
        .store
        .set_tenant_status(change, &tenant_id, status)
        .await?;
    Ok(Json(tenant.into()))
}

/// Reads a tenant's settings.
#[utoipa::path(get, path = "/v1/admin/tenants/{tenant_id}/config", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)),
    responses(
        (status = 200, description = "The settings", body = ConfigObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn read_config(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<ConfigObject>, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant = find(&app, &tenant_id).await?;
    Ok(Json(tenant.config.into()))
}

/// Replaces a tenant's settings by what a read gives, edited.
#[utoipa::path(put, path = "/v1/admin/tenants/{tenant_id}/config", tag = "tenants", security(("bearer" = [])),
    params(("tenant_id" = String, Path)), request_body = ConfigObject,
    responses(
        (status = 200, description = "The settings", body = ConfigObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn replace_config(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(tenant_id): Path<String>,
    body: JsonBody<ConfigObject>,
) -> Result<Json<ConfigObject>, Problem> {
    caller.platform(Right::Tenants)?;
    let tenant_id = parse_id(&tenant_id)?;
    let config = TenantConfig::try_from(body.value)?;
    let change = context.change(caller.actor());
    let tenant = app
        .store
        .set_tenant_config(change, &tenant_id, config)
        .await?;
    Ok(Json(tenant.config.into()))
}

async fn find(app: &App, tenant_id: &str) -> Result<Tenant, Problem> {
    app.store
        .tenant(&parse_id(tenant_id)?)
        .await?
        .ok_or_else(not_found)
}

/// What is no tenant id names no tenant.
fn parse_id(tenant_id: &str) -> Result<TenantId, Problem> {
    TenantId::new(tenant_id).map_err(|_| not_found())
}

fn not_found() -> Problem {
    Problem::not_found("tenant")
}
