//! Reading the issuance ledger (contract §12), for platform administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::{DeviceId, SerialNumber, TenantId};
use identity_store::{Issuance, IssuancePurpose, Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, List, Problem, ProblemDocument, Query, Right, Timestamp, page_request};
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A certificate that was issued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Issuance)]
struct IssuanceObject {
    #[schema(value_type = String)]
    tenant_id: TenantId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// 40 hexadecimal digits.
    serial: String,
    fingerprint: String,
    /// SHA-256 of what the CA signed, in hexadecimal.
    tbs_sha256: String,
    /// SHA-256 of its key, in hexadecimal.
    spki_sha256: String,
    /// The CA that signed it.
    ca_fingerprint: String,
    /// `device`.
    profile: String,
    /// `pairing` or `renewal`.
    #[schema(value_type = String)]
    purpose: IssuancePurpose,
    /// The request that asked for it.
    request_id: String,
    not_before: Timestamp,
    not_after: Timestamp,
    issued_at: Timestamp,
    /// PEM.
    certificate: String,
}

impl From<Issuance> for IssuanceObject {
    fn from(issuance: Issuance) -> Self {
        let certificate = issuance.certificate;
        Self {
            tenant_id: certificate.identity.tenant_id().clone(),
            device_id: certificate.identity.device_id().clone(),
            serial: certificate.serial.to_string(),
            fingerprint: certificate.fingerprint.to_string(),
            tbs_sha256: hex::encode(certificate.tbs_sha256.as_bytes()),
            spki_sha256: hex::encode(certificate.spki_sha256.as_bytes()),
            ca_fingerprint: certificate.ca_fingerprint.to_string(),
            profile: issuance.profile,
            purpose: issuance.purpose,
            request_id: issuance.request_id,
            not_before: Timestamp(certificate.not_before),
            not_after: Timestamp(certificate.not_after),
            issued_at: Timestamp(issuance.issued_at),
            certificate: certificate.pem,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this device.
    #[param(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    /// With this serial number: 40 hexadecimal digits, in either case, with or without colons.
    serial: Option<String>,
    /// 1 to 200.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the certificates that were issued, newest first.
#[utoipa::path(get, path = "/v1/admin/issuance", tag = "issuance", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of the ledger", body = List<IssuanceObject>),
    (status = "4XX", body = ProblemDocument),
))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<IssuanceObject>>, Problem> {
    caller.platform(Right::Issuance)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    let rows = rows(
        &app,
        query.device_id.as_ref(),
        query.serial.as_deref(),
        page,
    )
    .await?;
    Ok(Json(List::of(rows, IssuanceObject::from)))
}

async fn rows(
    app: &App,
    device_id: Option<&DeviceId>,
    serial: Option<&str>,
    page: PageRequest,
) -> Result<Page<Issuance>, Problem> {
    let Some(serial) = serial else {
        return Ok(app.store.issuances(device_id, page).await?);
    };
    let digits = serial.replace(':', "").to_ascii_lowercase();
    let serial: SerialNumber = digits
        .parse()
        .map_err(|_| Problem::invalid("serial", "must be 40 hexadecimal digits"))?;
    let of_device = |row: &Issuance| {
        let found = row.certificate.identity.device_id();
        device_id.is_none_or(|device_id| device_id == found)
    };
    let row = app.store.issuance(&serial).await?.filter(of_device);
    Ok(Page {
        data: row.into_iter().collect(),
        next: None,
    })
}
