//! What creating a verification and creating an enrolment have in common.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_challenge::{Challenge, ChallengeKind, MaxAttempts, Ttl};
use identity_pki::{DeviceId, TenantId};
use identity_store::{ChallengeId, Entity, Error, NewChallenge, TenantConfig, UserId};

use super::limits::SmallObject;
use super::object::CreatedChallenge;
use crate::http::{Answer, Caller, Problem, RequestContext, Right, idempotency};
use crate::{App, clock};

/// A challenge that an integrator wants.
pub(super) struct Wanted {
    pub(super) kind: ChallengeKind,
    pub(super) user_id: UserId,
    pub(super) device_id: DeviceId,
    pub(super) context: String,
    pub(super) metadata: SmallObject,
    pub(super) display: Option<SmallObject>,
    pub(super) binding_message: Option<String>,
    pub(super) client_reference: Option<String>,
    pub(super) ttl: Option<Ttl>,
    pub(super) max_attempts: Option<MaxAttempts>,
}

/// Creates a challenge and wakes its device. The store decides whether it may be.
pub(super) async fn create_challenge(
    app: &App,
    context: &RequestContext,
    caller: &Caller,
    body_sha256: [u8; 32],
    wanted: Wanted,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::ChallengesWrite)?;
    let client_id = caller.token().map(|token| token.client_id.clone());
    idempotency::run(app, context, &caller.actor(), body_sha256, async |keep| {
        let config = settings(app, &tenant_id).await?;
        let ttl = wanted.ttl.unwrap_or(config.challenge_ttl_seconds);
        let max_attempts = wanted.max_attempts.unwrap_or(config.max_attempts);
        let challenge_id = ChallengeId::generate(context.now, &mut clock::entropy());
        let opened = Challenge::open(wanted.kind, max_attempts, ttl, context.now);
        let answer = Answer::created(&CreatedChallenge::of(challenge_id.clone(), &opened))?;
        let new = NewChallenge {
            tenant_id,
            challenge_id,
            kind: wanted.kind,
            user_id: wanted.user_id,
            device_id: wanted.device_id,
            client_id,
            context: wanted.context,
            metadata: wanted.metadata.into_value(),
            display: wanted.display.map(SmallObject::into_value),
            binding_message: wanted.binding_message,
            client_reference: wanted.client_reference,
            nonce: URL_SAFE_NO_PAD.encode(clock::random_bytes::<16>()),
            ttl: Some(ttl),
            max_attempts: Some(max_attempts),
        };
        let change = keep.answer(context.change(caller.actor()), &answer);
        app.store.create_challenge(change, new).await?;
        Ok(answer)
    })
    .await
}

async fn settings(app: &App, tenant_id: &TenantId) -> Result<TenantConfig, Problem> {
    let tenant = app.store.tenant(tenant_id).await?;
    Ok(tenant.ok_or(Error::NotFound(Entity::Tenant))?.config)
}
