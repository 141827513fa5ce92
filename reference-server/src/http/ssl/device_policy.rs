use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_store::DevicePolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right};
use crate::issuance::MAX_VALIDITY_DAYS;

/// A device whose clock is a day late needs its clock set.
const MAX_CLOCK_SKEW_SECONDS: u32 = 24 * 60 * 60;

/// How device certificates are made. Each member is there in a read, and is to be there in a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DevicePolicy)]
pub(super) struct PolicyObject {
    /// How long certificates are valid: 1 to 3650.
    #[schema(minimum = 1, maximum = 3650)]
    validity_days: u32,
    /// How many days before its expiry a certificate is due for renewal: less than the validity.
    renewal_window_days: u32,
    /// How far certificates are dated back, for devices whose clock is late: 0 to 86400.
    #[schema(minimum = 0, maximum = 86400)]
    clock_skew_seconds: u32,
}

impl From<DevicePolicy> for PolicyObject {
    fn from(policy: DevicePolicy) -> Self {
        Self {
            validity_days: policy.validity_days,
            renewal_window_days: policy.renewal_window_days,
            clock_skew_seconds: policy.clock_skew_seconds,
        }
    }
}

impl TryFrom<PolicyObject> for DevicePolicy {
    type Error = Problem;

    fn try_from(object: PolicyObject) -> Result<Self, Problem> {
        if !(1..=MAX_VALIDITY_DAYS).contains(&object.validity_days) {
            let reason = format!("must be 1 to {MAX_VALIDITY_DAYS}");
            return Err(Problem::invalid("validity_days", reason));
        }
        if object.clock_skew_seconds > MAX_CLOCK_SKEW_SECONDS {
            let reason = format!("must be 0 to {MAX_CLOCK_SKEW_SECONDS}");
            return Err(Problem::invalid("clock_skew_seconds", reason));
        }
        Ok(Self {
            validity_days: object.validity_days,
            renewal_window_days: object.renewal_window_days,
            clock_skew_seconds: object.clock_skew_seconds,
        })
    }
}

/// The platform's device policy, which tenants' own values override.
#[utoipa::path(
    get, path = "/v1/admin/ssl/device-policy", tag = "TLS", security(("bearer" = [])),
    responses(
        (status = 200, description = "The policy.", body = PolicyObject),
        (status = "4XX", body = ProblemDocument),
    ),
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<PolicyObject>, Problem> {
    caller.platform(Right::DevicePolicy)?;
    Ok(Json(app.store.device_policy().await?.into()))
}

/// Replaces the platform's device policy, for certificates that are issued from now on, by whatever
/// replica. The window has to be shorter than the validity, with each tenant's own values too.
#[utoipa::path(
    put, path = "/v1/admin/ssl/device-policy", tag = "TLS", security(("bearer" = [])),
    request_body = PolicyObject,
    responses(
        (status = 200, description = "The policy.", body = PolicyObject),
        (status = 422, description = "`validation_failed`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    ),
)]
pub(super) async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<PolicyObject>,
) -> Result<Json<PolicyObject>, Problem> {
    caller.platform(Right::DevicePolicy)?;
    let policy = DevicePolicy::try_from(body.value)?;
    let change = request.change(caller.actor());
    let policy = app.store.set_device_policy(change, policy).await?;
    Ok(Json(policy.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_default_policy_is_the_contracts_and_can_be_written_back() {
        let object = PolicyObject::from(DevicePolicy::default());
        assert_eq!(
            serde_json::to_value(object).expect("JSON"),
            json!({"validity_days": 90, "renewal_window_days": 30, "clock_skew_seconds": 300})
        );
        let policy = DevicePolicy::try_from(object).expect("sound");
        assert_eq!(policy, DevicePolicy::default());
    }

    #[test]
    fn values_out_of_their_range_are_refused_by_name() {
        for (member, value) in [
            ("validity_days", 0),
            ("validity_days", 3651),
            ("clock_skew_seconds", 86_401),
        ] {
            let object = PolicyObject::from(DevicePolicy::default());
            let mut object = serde_json::to_value(object).expect("JSON");
            object[member] = json!(value);
            let object: PolicyObject = serde_json::from_value(object).expect("numbers");
            let problem = DevicePolicy::try_from(object).expect_err(member);
            let shown: Value = serde_json::from_slice(&problem.to_json("r")).expect("JSON");
            assert_eq!(shown["fields"][0]["path"], member, "{value}");
        }
    }
}
