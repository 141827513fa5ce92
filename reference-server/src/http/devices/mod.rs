//! Devices (contract §6): registration, pairing, renewal, revocation.

mod bulk;
mod derived;
mod edit;
mod export;
mod import;
mod import_table;
#[cfg(test)]
mod import_table_laws;
mod issued;
mod object;
mod own;
mod pair;
mod pairing_code;
mod read;
mod register;
mod renew;
mod revoke;

use std::sync::Arc;

use identity_pki::{DeviceId, DeviceIdentity, TenantId};
use identity_store::{DevicePolicy, Entity, Error};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(read::list, register::register))
        .routes(routes!(export::export))
        .routes(routes!(import::import))
        .routes(routes!(bulk::bulk))
        .routes(routes!(pair::pair))
        .routes(routes!(renew::renew))
        .routes(routes!(own::own))
        .routes(routes!(own::heartbeat))
        .routes(routes!(read::read, edit::edit, revoke::revoke))
        .routes(routes!(pairing_code::issue))
}

/// The tenant's device of that id. What is no device id names no device.
fn identity(tenant_id: TenantId, device_id: &str) -> Result<DeviceIdentity, Problem> {
    let device_id = DeviceId::new(device_id).map_err(|_| not_found())?;
    Ok(DeviceIdentity::new(tenant_id, device_id))
}

/// 404 `not_found`: the device that the path names is not there, or is another tenant's.
fn not_found() -> Problem {
    Problem::not_found("device")
}

/// As [`Problem::from`], for operations on the device that the path names.
fn refused(error: Error) -> Problem {
    match error {
        Error::NotFound(Entity::Device) => not_found(),
        other => other.into(),
    }
}

/// The device policy of a tenant.
async fn policy(app: &App, tenant_id: &TenantId) -> Result<DevicePolicy, Problem> {
    let policy = app.store.tenant_device_policy(tenant_id).await?;
    policy.ok_or_else(|| Problem::not_found("tenant"))
}
