//! TLS administration (contract §11): the server certificate, the platform CA and the policy of the
//! certificates that it issues.

mod ca;
mod device_policy;
mod new_key;
mod public_name;
mod server_cert;
mod upload;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, Problem, Right};
use crate::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .merge(ca::routes())
        .routes(routes!(device_policy::read, device_policy::replace))
        .merge(server_cert::routes())
}

#[derive(Debug, Serialize, ToSchema)]
struct SetUp {
    server_cert_configured: bool,
    platform_ca_configured: bool,
    setup_complete: bool,
}

/// What is left to set up.
#[utoipa::path(
    get, path = "/v1/admin/ssl/status", tag = "TLS", security(("bearer" = [])),
    responses((status = 200, description = "The state of the set-up.", body = SetUp)),
)]
async fn status(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<SetUp>, Problem> {
    caller.platform(Right::Tls)?;
    let server_cert_configured = app.store.server_cert().await?.is_some();
    let platform_ca_configured = app.ca.load().is_some();
    Ok(Json(SetUp {
        server_cert_configured,
        platform_ca_configured,
        setup_complete: server_cert_configured && platform_ca_configured,
    }))
}
