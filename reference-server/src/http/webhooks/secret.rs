use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_store::WebhookId;
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;

use super::owner;
use crate::http::{
    Answer, Caller, JsonBody, PathId, Problem, ProblemDocument, RequestContext, Right, Timestamp,
    idempotency,
};
use crate::{App, webhooks};

/// How long the secrets before a new one can go on signing: a week.
const MAX_GRACE_SECONDS: u32 = 7 * 86_400;

/// How a secret is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretRotation {
    /// How long the secrets before sign beside the new one: a day, unless told otherwise, a week at most.
    #[serde(default = "one_day")]
    #[schema(maximum = 604_800, default = 86_400)]
    grace_seconds: u32,
}

fn one_day() -> u32 {
    86_400
}

/// A webhook's new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct RotatedSecret {
    #[schema(value_type = String)]
    webhook_id: WebhookId,
    /// `whsec_…`, as Standard Webhooks libraries take it.
    secret: String,
    /// When the secrets before sign no more.
    others_expire_at: Timestamp,
}

/// Gives a webhook another secret. Until the grace is over, deliveries are signed by those before too, so that
/// the receiver can take up the new one at any moment of it.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/secret/rotate", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = SecretRotation,
    responses(
        (status = 201, description = "The new secret", body = RotatedSecret),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
    body: JsonBody<SecretRotation>,
) -> Result<Response, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let (actor, sha256, grace) = (caller.actor(), body.sha256(), body.value.grace_seconds);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        if grace > MAX_GRACE_SECONDS {
            let reason = format!("must be at most {MAX_GRACE_SECONDS}");
            return Err(Problem::invalid("grace_seconds", reason));
        }
        let until = context.now + Duration::seconds(i64::from(grace));
        let secret = webhooks::new_secret();
        let answer = Answer::created(&RotatedSecret {
            webhook_id: webhook_id.clone(),
            secret: webhooks::shown(&secret).to_string(),
            others_expire_at: Timestamp(until),
        })?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store
            .rotate_webhook_secret(change, &owner, &webhook_id, secret, until)
            .await?;
        Ok(answer)
    })
    .await
}
