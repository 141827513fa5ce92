use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::TenantId;
use identity_store::{AuditFilter, Chain, Severity, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::object::AuditRowObject;
use crate::App;
use crate::http::{
    Caller, List, Problem, ProblemDocument, Query, RequestContext, Timestamp, page_request,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of this tenant: for the platform's administrators, and audited.
    #[param(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// Done by the actor of this id.
    actor: Option<String>,
    /// Of this action, such as `device_revoked`.
    action: Option<String>,
    /// About this: an id. A user is found by the id that the tenant gave, or by the internal one.
    subject: Option<String>,
    /// That matter this much: `info`, `high` or `critical`.
    #[param(value_type = Option<String>)]
    severity: Option<Severity>,
    /// That happened at this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// That happened before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// 1 to 200.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the rows of an audit trail, those that happened last first. What happened within the last
/// second or so may not have its place yet; it is missing until then.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of rows", body = List<AuditRowObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<AuditRowObject>>, Problem> {
    let page = page_request(query.limit, query.cursor.as_deref())?;
    let chain = super::readable(&app, &context, &caller, query.tenant_id).await?;
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        subject: subject(&app, &chain, query.subject).await?,
        severity: query.severity,
        from: query.from.map(|from| from.0),
        to: query.to.map(|to| to.0),
    };
    let rows = app.store.audit_rows(&chain, filter, page).await?;
    Ok(Json(List::of(rows, AuditRowObject::from)))
}

/// The subject as rows have it: of a user they have the internal id alone.
async fn subject(
    app: &App,
    chain: &Chain,
    named: Option<String>,
) -> Result<Option<String>, Problem> {
    let (Some(named), Some(tenant_id)) = (&named, chain.tenant_id()) else {
        return Ok(named);
    };
    let Ok(user_id) = named.parse::<UserId>() else {
        return Ok(Some(named.clone()));
    };
    let user = app.store.user(tenant_id, &user_id).await?;
    let internal = user.map(|user| user.internal_id.to_string());
    Ok(Some(internal.unwrap_or_else(|| named.clone())))
}
