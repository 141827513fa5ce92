use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_store::UserEdit;
use serde::Deserialize;
use utoipa::ToSchema;

use super::contact::{EmailAddress, Mobile};
use super::object::UserObject;
use crate::App;
use crate::http::text::{Line, present};
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right};

/// What is to be said about a user from now on. What is left out stays; `null` removes.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserEdit)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Option<Line<200>>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<EmailAddress>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    mobile: Option<Option<Mobile>>,
}

impl From<Edit> for UserEdit {
    fn from(edit: Edit) -> Self {
        Self {
            display_name: edit.display_name.map(|name| name.map(Line::into_string)),
            email: edit.email.map(|email| email.map(EmailAddress::into_string)),
            mobile: edit.mobile.map(|mobile| mobile.map(Mobile::into_string)),
        }
    }
}

/// Edits what the integrator says about a user.
#[utoipa::path(put, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)), request_body = Edit,
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn edit(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
    body: JsonBody<Edit>,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let user_id = super::user_id(&user_id)?;
    let change = context.change(caller.actor());
    let user = app
        .store
        .update_user(change, &tenant_id, &user_id, body.value.into())
        .await;
    Ok(Json(user.map_err(super::refused)?.into()))
}
