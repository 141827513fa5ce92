use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_challenge::DeviceBinding;
use identity_pki::DeviceIdentity;
use identity_store::DeviceEdit;
use serde::Deserialize;
use utoipa::ToSchema;

use super::object::{DeviceObject, Tags};
use super::register;
use crate::App;
use crate::http::text::{Line, present};
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right};

/// What is to be said about a device from now on. What is left out stays; `null` removes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DeviceEdit)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    device_name: Option<Line<128>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    location: Option<Option<Line<256>>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    bound_product: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    bound_action: Option<Option<String>>,
    /// All tags anew.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    tags: Option<Tags>,
}

impl Edit {
    /// The binding that the edit leads to, if it says anything about it.
    fn binding(&self, current: &DeviceBinding) -> Result<Option<DeviceBinding>, Problem> {
        if self.bound_product.is_none() && self.bound_action.is_none() {
            return Ok(None);
        }
        let product = self
            .bound_product
            .as_ref()
            .map_or(current.product(), Option::as_deref);
        let action = self
            .bound_action
            .as_ref()
            .map_or(current.action(), Option::as_deref);
        register::binding(current.class(), product, action).map(Some)
    }
}

/// Edits what people say about a device.
#[utoipa::path(put, path = "/v1/devices/{device_id}", tag = "devices", security(("bearer" = [])),
    params(("device_id" = String, Path)), request_body = Edit,
    responses(
        (status = 200, description = "The device", body = DeviceObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn edit(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(device_id): Path<String>,
    body: JsonBody<Edit>,
) -> Result<Json<DeviceObject>, Problem> {
    let tenant_id = caller.tenant(Right::DevicesWrite)?;
    let policy = super::policy(&app, &tenant_id).await?;
    let identity = super::identity(tenant_id, &device_id)?;
    let edit = device_edit(&app, &context, &identity, body.value).await?;
    let change = context.change(caller.actor());
    let device = app
        .store
        .update_device(change, &identity, edit)
        .await
        .map_err(super::refused)?;
    Ok(Json(DeviceObject::of(device, policy, context.now)))
}

async fn device_edit(
    app: &App,
    context: &RequestContext,
    identity: &DeviceIdentity,
    edit: Edit,
) -> Result<DeviceEdit, Problem> {
    let current = app
        .store
        .device(identity, context.now)
        .await?
        .ok_or_else(super::not_found)?;
    Ok(DeviceEdit {
        binding: edit.binding(&current.binding)?,
        name: edit.device_name.map(Line::into_string),
        location: edit
            .location
            .map(|location| location.map(Line::into_string)),
        tags: edit.tags.map(Tags::into_map),
    })
}

#[cfg(test)]
mod tests {
    use identity_challenge::DeviceClass;

    use super::*;

    fn edit(json: &str) -> Edit {
        serde_json::from_str(json).expect("an edit")
    }

    #[test]
    fn what_is_left_out_stays_and_null_removes() {
        let nothing = edit("{}");
        assert!(nothing.device_name.is_none() && nothing.location.is_none());
        assert!(nothing.tags.is_none() && nothing.bound_product.is_none());
        assert!(matches!(edit(r#"{"location":null}"#).location, Some(None)));
        assert!(matches!(
            edit(r#"{"location":"Desk"}"#).location,
            Some(Some(_))
        ));
    }

    #[test]
    fn a_new_binding_is_made_of_the_old_one_and_what_the_edit_says() {
        let gate = DeviceBinding::new(DeviceClass::Gate, Some("access"), Some("enter"));
        let gate = gate.expect("binding");
        assert!(edit("{}").binding(&gate).expect("unchanged").is_none());
        let edited = edit(r#"{"bound_action":"leave"}"#).binding(&gate);
        let edited = edited.expect("allowed").expect("changed");
        assert_eq!(
            (edited.product(), edited.action()),
            (Some("access"), Some("leave"))
        );
        assert!(
            edit(r#"{"bound_action":null}"#).binding(&gate).is_err(),
            "a gate needs one"
        );
    }
}
