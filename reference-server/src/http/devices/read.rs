use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_challenge::DeviceClass;
use identity_pki::{DeviceId, TenantId};
use identity_store::{Chain, DeviceFilter, DevicePolicy, DeviceStatus, Event};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::derived::{CertState, Connectivity};
use super::object::{DeviceObject, is_tag_key};
use crate::App;
use crate::http::{
    Caller, List, Problem, ProblemDocument, Query, RequestContext, Right, page_request,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of this tenant: for the platform's administrators, and audited.
    #[param(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// In this state: `pending_pairing`, `paired`, `revoked` or `expired`.
    #[param(value_type = Option<String>)]
    status: Option<DeviceStatus>,
    /// Of this class: `personal_scanner`, `pos`, `gate` or `kiosk`.
    #[param(value_type = Option<String>)]
    device_class: Option<DeviceClass>,
    /// With this tag: `key:value`.
    tag: Option<String>,
    /// Last seen so.
    #[param(inline)]
    connectivity: Option<Connectivity>,
    /// With the certificate in this state.
    #[param(inline)]
    cert_state: Option<CertState>,
    /// With this text in name, location or id, in any case.
    q: Option<String>,
    /// 1 to 200.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which devices: all of those of which everything is true that is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Criteria {
    /// In this state: `pending_pairing`, `paired`, `revoked` or `expired`.
    #[schema(value_type = Option<String>)]
    status: Option<DeviceStatus>,
    /// Of this class: `personal_scanner`, `pos`, `gate` or `kiosk`.
    #[schema(value_type = Option<String>)]
    device_class: Option<DeviceClass>,
    /// With this tag: `key:value`.
    tag: Option<String>,
    /// Last seen so.
    #[schema(inline)]
    connectivity: Option<Connectivity>,
    /// With the certificate in this state.
    #[schema(inline)]
    cert_state: Option<CertState>,
    /// With this text in name, location or id, in any case.
    q: Option<String>,
}

impl From<ListQuery> for Criteria {
    fn from(query: ListQuery) -> Self {
        Self {
            status: query.status,
            device_class: query.device_class,
            tag: query.tag,
            connectivity: query.connectivity,
            cert_state: query.cert_state,
            q: query.q,
        }
    }
}

impl Criteria {
    pub(super) fn filter(
        self,
        policy: DevicePolicy,
        now: OffsetDateTime,
    ) -> Result<DeviceFilter, Problem> {
        let mut filter = DeviceFilter {
            status: self.status,
            class: self.device_class,
            tag: self.tag.as_deref().map(tag).transpose()?,
            text: self.q.filter(|text| !text.is_empty()),
            ..DeviceFilter::all(now)
        };
        if let Some(connectivity) = self.connectivity {
            filter = connectivity.narrow(filter);
        }
        if let Some(state) = self.cert_state {
            filter = state.narrow(filter, policy.renewal_window());
        }
        Ok(filter)
    }
}

fn tag(text: &str) -> Result<(String, String), Problem> {
    match text.split_once(':') {
        Some((key, value)) if is_tag_key(key) => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Problem::invalid("tag", "must be key:value")),
    }
}

/// Lists the tenant's devices, newest first.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of devices", body = List<DeviceObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<DeviceObject>>, Problem> {
    let page = page_request(query.limit, query.cursor.as_deref())?;
    let named = query.tenant_id.clone();
    let (tenant_id, policy) = readable(&app, &context, &caller, named, None).await?;
    let filter = Criteria::from(query).filter(policy, context.now)?;
    let devices = app.store.devices(&tenant_id, filter, page).await?;
    Ok(Json(List::of(devices, |device| {
        DeviceObject::of(device, policy, context.now)
    })))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// Of this tenant: for the platform's administrators, and audited.
    #[param(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// Whose devices are read: the caller's own tenant's, or those of the tenant that an administrator
/// of the platform names, which the platform's audit trail tells.
pub(super) async fn readable(
    app: &App,
    context: &RequestContext,
    caller: &Caller,
    named: Option<TenantId>,
    device_id: Option<&str>,
) -> Result<(TenantId, DevicePolicy), Problem> {
    let Some(tenant_id) = named else {
        let tenant_id = caller.tenant(Right::DevicesRead)?;
        let policy = super::policy(app, &tenant_id).await?;
        return Ok((tenant_id, policy));
    };
    caller.platform(Right::AnyDevicesRead)?;
    let policy = super::policy(app, &tenant_id).await?;
    let read = Event::DevicesRead {
        tenant_id: tenant_id.clone(),
        device_id: device_id.and_then(|id| DeviceId::new(id).ok()),
    };
    let change = context.change(caller.actor());
    app.store
        .record(change, Chain::Platform, vec![read])
        .await?;
    Ok((tenant_id, policy))
}

/// Reads a device.
#[utoipa::path(get, path = "/v1/devices/{device_id}", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path), ReadQuery),
    responses(
        (status = 200, description = "The device", body = DeviceObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(device_id): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Result<Json<DeviceObject>, Problem> {
    let named = query.tenant_id;
    let (tenant_id, policy) = readable(&app, &context, &caller, named, Some(&device_id)).await?;
    let identity = super::identity(tenant_id, &device_id)?;
    let device = app
        .store
        .device(&identity, context.now)
        .await?
        .ok_or_else(super::not_found)?;
    Ok(Json(DeviceObject::of(device, policy, context.now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_split_at_its_first_colon() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(tag("site:Berlin").ok(), Some(pair("site", "Berlin")));
        assert_eq!(tag("site:a:b").ok(), Some(pair("site", "a:b")));
        assert_eq!(tag("site:").ok(), Some(pair("site", "")));
        for bad in ["", "site", ":x", "a b:x"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }
}
