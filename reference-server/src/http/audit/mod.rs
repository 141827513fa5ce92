//! Reading the audit trail (contract §12).

mod export;
mod list;
mod object;
mod verify;

use std::sync::Arc;

use identity_pki::TenantId;
use identity_store::{Chain, Event};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use verify::Verifications;

use super::{Caller, Problem, RequestContext, Right};
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(export::export))
        .routes(routes!(verify::verify))
}

/// Whose trail is asked for: that of the tenant that an administrator of the platform names, the
/// platform's if they name none, and the caller's own tenant's for everybody else.
async fn chain(
    app: &App,
    caller: &Caller,
    right: Right,
    named: Option<TenantId>,
) -> Result<Chain, Problem> {
    let Some(tenant_id) = named else {
        return match caller.platform(Right::AnyAudit) {
            Ok(_) => Ok(Chain::Platform),
            Err(_) => caller.tenant(right).map(Chain::Tenant),
        };
    };
    caller.platform(Right::AnyAudit)?;
    match app.store.tenant(&tenant_id).await? {
        Some(_) => Ok(Chain::Tenant(tenant_id)),
        None => Err(Problem::not_found("tenant")),
    }
}

/// As [`chain`], for reading; an administrator who reads a tenant's trail is told of in the platform's.
async fn readable(
    app: &App,
    context: &RequestContext,
    caller: &Caller,
    named: Option<TenantId>,
) -> Result<Chain, Problem> {
    let read = named
        .clone()
        .map(|tenant_id| Event::AuditRead { tenant_id });
    let chain = chain(app, caller, Right::AuditRead, named).await?;
    if let Some(read) = read {
        let change = context.change(caller.actor());
        app.store
            .record(change, Chain::Platform, vec![read])
            .await?;
    }
    Ok(chain)
}
