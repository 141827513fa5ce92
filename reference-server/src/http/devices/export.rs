//! A tenant's devices as a file (contract §6).

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_store::{Chain, DeviceFilter, Event, PageRequest};
use serde_json::Value;

use super::object::DeviceObject;
use super::read::readable;
use crate::App;
use crate::http::download::{ExportQuery, Format};
use crate::http::{Caller, Problem, ProblemDocument, Query, RequestContext, Right, csv};

/// How many devices are read at once.
const PAGE: u32 = 200;

/// The columns of the CSV form, each with its place in the device object.
const COLUMNS: [(&str, &str); 20] = [
    ("device_id", "/device_id"),
    ("serial", "/device_info/serial"),
    ("device_name", "/device_name"),
    ("location", "/location"),
    ("device_class", "/device_class"),
    ("bound_product", "/bound_product"),
    ("bound_action", "/bound_action"),
    ("tags", "/tags"),
    ("status", "/status"),
    ("connectivity", "/connectivity"),
    ("cert_state", "/cert_state"),
    ("model", "/device_info/model"),
    ("firmware", "/device_info/firmware"),
    ("hardware_id", "/device_info/hardware_id"),
    ("fingerprint", "/fingerprint"),
    ("cert_expires_at", "/cert_expires_at"),
    ("paired_at", "/paired_at"),
    ("revoked_at", "/revoked_at"),
    ("last_seen_at", "/last_seen_at"),
    ("created_at", "/created_at"),
];

fn cells(device: &Value) -> [Cow<'_, str>; COLUMNS.len()] {
    COLUMNS.map(|(_, place)| cell(device.pointer(place).unwrap_or(&Value::Null)))
}

/// What a cell shows: nothing where there is nothing, and JSON where there is more than a text.
fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Cow::Owned(value.to_string())
        }
    }
}

fn line(format: Format, device: &DeviceObject) -> serde_json::Result<String> {
    match format {
        Format::Csv => {
            let device = serde_json::to_value(device)?;
            let cells = cells(&device);
            Ok(csv::record(cells.iter().map(AsRef::as_ref)))
        }
        Format::Ndjson => Ok(serde_json::to_string(device)? + "\n"),
    }
}

/// Exports all devices of the tenant, newest first, each as `GET /v1/devices/{device_id}` shows it.
///
/// In the CSV form `tags` are a JSON object, and a cell that a spreadsheet would take for a formula begins
/// with an apostrophe. An export that breaks off ends without the end of its body. It is audited as
/// `devices_exported`.
#[utoipa::path(get, path = "/v1/devices/export", tag = "devices", security(("bearer" = [])), params(ExportQuery), responses(
    (status = 200, description = "The devices", content(
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn export(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let ExportQuery { format, tenant_id } = query;
    let chain = match tenant_id {
        Some(_) => Chain::Platform,
        None => Chain::Tenant(caller.tenant(Right::DevicesRead)?),
    };
    let (tenant_id, policy) = readable(&app, &context, &caller, tenant_id, None).await?;
    let exported = Event::DevicesExported {
        tenant_id: tenant_id.clone(),
        format: format.as_str(),
    };
    let change = context.change(caller.actor());
    app.store.record(change, chain, vec![exported]).await?;
    let download = format.download(&format!("devices-{tenant_id}"));
    let now = context.now;
    Ok(download.write(|mut body| async move {
        if format == Format::Csv {
            body.text(&csv::record(COLUMNS.map(|(name, _)| name)))
                .await?;
        }
        let mut request = PageRequest::first(PAGE);
        loop {
            let filter = DeviceFilter::all(now);
            let page = app.store.devices(&tenant_id, filter, request).await?;
            for device in page.data {
                let device = DeviceObject::of(device, policy, now);
                body.text(&line(format, &device)?).await?;
            }
            if page.next.is_none() {
                return body.finish().await;
            }
            request = PageRequest {
                limit: PAGE,
                after: page.next,
            };
        }
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_what_the_object_has_there() {
        let device = json!({
            "device_id": "dev_1",
            "location": null,
            "tags": {"site": "Berlin, \"Mitte\""},
            "device_info": {"serial": "S-1"},
        });
        let cells = cells(&device);
        assert_eq!(cells[..4], ["dev_1", "S-1", "", ""]);
        assert_eq!(cells[7], r#"{"site":"Berlin, \"Mitte\""}"#);
    }
}
