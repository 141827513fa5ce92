use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_challenge::{BindingRule, DeviceBinding, DeviceClass, Error as ChallengeError};
use identity_pki::{DeviceId, DeviceIdentity, PairingCode};
use identity_store::{DeviceStatus, NewDevice, PairingOffer, new_ulid};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::object::Tags;
use crate::http::text::Line;
use crate::http::{
    Answer, Caller, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext, Right,
    Timestamp, idempotency,
};
use crate::{App, clock};

/// How long a pairing code is good.
const CODE_LIFE: Duration = Duration::minutes(5);

/// A device to register.
#[derive(Deserialize, ToSchema)]
#[schema(as = DeviceRegistration)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    device_name: Line<128>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    location: Option<Line<256>>,
    /// `personal_scanner` (the default), `pos`, `gate` or `kiosk`.
    #[serde(default = "personal_scanner")]
    #[schema(value_type = Option<String>)]
    device_class: DeviceClass,
    /// `pos`, `gate` and `kiosk` need one, a `personal_scanner` takes none.
    bound_product: Option<String>,
    /// `pos` and `gate` need one, a `kiosk`'s is `signup` by default, a `personal_scanner` takes
    /// none.
    bound_action: Option<String>,
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    tags: Tags,
}

fn personal_scanner() -> DeviceClass {
    DeviceClass::PersonalScanner
}

/// A device that waits to be paired, and its code, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct Registered {
    #[schema(value_type = String)]
    device_id: DeviceId,
    #[schema(value_type = String)]
    status: DeviceStatus,
    #[schema(example = "K7M2P9XQ4")]
    pairing_code: String,
    expires_at: Timestamp,
    #[schema(value_type = String)]
    device_class: DeviceClass,
}

impl Registered {
    /// A device and its new code, as the one answer that shows the code.
    pub(super) fn answer(
        identity: &DeviceIdentity,
        class: DeviceClass,
        code: &PairingCode,
        expires_at: OffsetDateTime,
    ) -> Result<Answer, Problem> {
        Answer::created(&Self {
            device_id: identity.device_id().clone(),
            status: DeviceStatus::PendingPairing,
            pairing_code: code.as_str().to_owned(),
            expires_at: Timestamp(expires_at),
            device_class: class,
        })
    }
}

/// A new pairing code, and what the store keeps of it.
pub(super) fn new_code(
    app: &App,
    now: OffsetDateTime,
) -> Result<(PairingCode, PairingOffer), Problem> {
    let code = PairingCode::generate(&mut clock::entropy());
    let offer = PairingOffer {
        code_hash: code.lookup_hash(app.secrets.pairing_pepper.get()?),
        expires_at: now + CODE_LIFE,
    };
    Ok((code, offer))
}

/// Registers a device. The answer shows its pairing code, which is good for five minutes.
#[utoipa::path(post, path = "/v1/devices", tag = "devices", security(("bearer" = [])), request_body = Registration,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The device's id and pairing code", body = Registered),
        (status = 422, description = "`binding_not_allowed`, `binding_required`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn register(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<Registration>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::DevicesWrite)?;
    let (actor, sha256, new) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        let binding = binding(
            new.device_class,
            new.bound_product.as_deref(),
            new.bound_action.as_deref(),
        )?;
        let id = format!("dev_{}", new_ulid(context.now, &mut clock::entropy()));
        let device_id = DeviceId::new(id).map_err(Problem::internal)?;
        let identity = DeviceIdentity::new(tenant_id, device_id);
        let (code, pairing) = new_code(&app, context.now)?;
        let answer = Registered::answer(&identity, new.device_class, &code, pairing.expires_at)?;
        let device = NewDevice {
            identity,
            name: new.device_name.into_string(),
            location: new.location.map(Line::into_string),
            binding,
            tags: new.tags.into_map(),
            pairing,
        };
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.create_device(change, device).await?;
        Ok(answer)
    })
    .await
}

/// What a device of `class` is bound to.
///
/// # Errors
///
/// 422 `binding_not_allowed`, `binding_required`, and `validation_failed` for a key of another form.
pub(super) fn binding(
    class: DeviceClass,
    product: Option<&str>,
    action: Option<&str>,
) -> Result<DeviceBinding, Problem> {
    DeviceBinding::new(class, product, action).map_err(|error| match error {
        ChallengeError::Binding(rule) => refused_binding(&rule),
        other => Problem::internal(other),
    })
}

fn refused_binding(rule: &BindingRule) -> Problem {
    let detail = format!("{rule}.");
    match rule {
        BindingRule::NotAllowed { .. } => Problem::new(ErrorCode::BindingNotAllowed, detail),
        BindingRule::Required { member, .. } => {
            Problem::new(ErrorCode::BindingRequired, detail).field(*member, "is missing")
        }
        BindingRule::Key { member, .. } => {
            Problem::invalid(*member, "must be 1 to 64 of A-Za-z0-9._-")
        }
        other => Problem::internal(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_rule_of_the_binding_has_its_code() {
        use DeviceClass::{Gate, Kiosk, PersonalScanner};
        for (class, product, action, code) in [
            (
                PersonalScanner,
                Some("wallet"),
                None,
                ErrorCode::BindingNotAllowed,
            ),
            (Gate, Some("access"), None, ErrorCode::BindingRequired),
            (Kiosk, None, None, ErrorCode::BindingRequired),
            (Kiosk, Some("a b"), None, ErrorCode::ValidationFailed),
        ] {
            let problem = binding(class, product, action).expect_err("refused");
            assert_eq!(problem.code(), code, "{class} {product:?} {action:?}");
        }
        assert!(binding(Kiosk, Some("wallet"), None).is_ok());
    }
}
