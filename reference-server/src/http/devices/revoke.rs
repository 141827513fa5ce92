use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_pki::DeviceId;
use identity_store::DeviceStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{Caller, Problem, ProblemDocument, RequestContext, Right, Timestamp};
use crate::{App, denials};

/// A device that is out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revoked {
    #[schema(value_type = String)]
    device_id: DeviceId,
    #[schema(value_type = String)]
    status: DeviceStatus,
    revoked_at: Option<Timestamp>,
    /// Who revoked it: a console user or an OAuth client.
    revoked_by: Option<String>,
    /// How many of its connections this replica closed.
    connections_closed: usize,
}

/// Revokes a device: its certificates are denied, and its connections closed, before the answer.
#[utoipa::path(delete, path = "/v1/devices/{device_id}", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path)),
    responses(
        (status = 200, description = "The device is out", body = Revoked),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(device_id): Path<String>,
) -> Result<Json<Revoked>, Problem> {
    let identity = super::identity(caller.tenant(Right::DevicesRevoke)?, &device_id)?;
    let change = context.change(caller.actor());
    // Once it is committed the job that reads what others denied may be faster than this request.
    let open = app
        .live
        .count_where(|device| *device.identity() == identity);
    let revocation = app
        .store
        .revoke_device(change, &identity)
        .await
        .map_err(super::refused)?;
    let closed = denials::publish(&app, &revocation.denied);
    let connections_closed = closed.max(open);
    let device = revocation.device;
    Ok(Json(Revoked {
        device_id: device.identity.device_id().clone(),
        status: device.status,
        revoked_at: device.revoked_at.map(Timestamp),
        revoked_by: device.revoked_by,
        connections_closed,
    }))
}
