use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_challenge::PalmType;
use identity_store::UserPalmPolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right};

/// Which palms a user may be verified by.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserPalmPolicy)]
pub(super) struct PalmPolicyObject {
    /// `left`, `right`, or both.
    #[schema(value_type = Vec<String>)]
    allowed_types: BTreeSet<PalmType>,
    /// Whether the user may be verified at all.
    verification_enabled: bool,
}

impl From<UserPalmPolicy> for PalmPolicyObject {
    fn from(policy: UserPalmPolicy) -> Self {
        let UserPalmPolicy {
            allowed_types,
            verification_enabled,
        } = policy;
        Self {
            allowed_types,
            verification_enabled,
        }
    }
}

/// Sets which palms a user may be verified by. Templates that are added from now on carry the rule
/// to the palm server too.
#[utoipa::path(put, path = "/v1/users/{user_id}/palm-policy", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)), request_body = PalmPolicyObject,
    responses(
        (status = 200, description = "The policy", body = PalmPolicyObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn set(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
    body: JsonBody<PalmPolicyObject>,
) -> Result<Json<PalmPolicyObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let user_id = super::user_id(&user_id)?;
    let PalmPolicyObject {
        allowed_types,
        verification_enabled,
    } = body.value;
    if allowed_types.is_empty() {
        let rule = "names at least one palm; verification_enabled: false forbids both";
        return Err(Problem::invalid("allowed_types", rule));
    }
    let policy = UserPalmPolicy {
        allowed_types,
        verification_enabled,
    };
    let change = context.change(caller.actor());
    let user = app
        .store
        .set_palm_policy(change, &tenant_id, &user_id, policy)
        .await;
    Ok(Json(user.map_err(super::refused)?.palm_policy.into()))
}
