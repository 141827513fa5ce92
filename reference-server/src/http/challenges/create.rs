//! What the requests that create challenges have in common.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_challenge::{Challenge, ChallengeKind, MaxAttempts, Ttl};
use identity_pki::{DeviceId, TenantId};
use identity_store::{ChallengeId, ClientId, Entity, Error, NewChallenge, TenantConfig, UserId};
use time::OffsetDateTime;

use super::limits::SmallObject;
use super::object::CreatedChallenge;
use crate::http::{Answer, Caller, Problem, RequestContext, Right, idempotency};
use crate::{App, clock};

/// A challenge that an integrator wants.
pub(in crate::http) struct Wanted {
    pub(in crate::http) kind: ChallengeKind,
    pub(in crate::http) user_id: UserId,
    pub(in crate::http) device_id: DeviceId,
    pub(in crate::http) context: String,
    pub(in crate::http) metadata: SmallObject,
    pub(in crate::http) display: Option<SmallObject>,
    pub(in crate::http) binding_message: Option<String>,
    pub(in crate::http) client_reference: Option<String>,
    pub(in crate::http) ttl: Option<Ttl>,
    pub(in crate::http) max_attempts: Option<MaxAttempts>,
}

impl Wanted {
    /// The challenge to create, as the tenant's settings have it where the integrator says nothing.
    pub(in crate::http) fn under(
        self,
        config: &TenantConfig,
        tenant_id: TenantId,
        client_id: Option<ClientId>,
        now: OffsetDateTime,
    ) -> NewChallenge {
        NewChallenge {
            tenant_id,
            challenge_id: ChallengeId::generate(now, &mut clock::entropy()),
            kind: self.kind,
            user_id: self.user_id,
            device_id: self.device_id,
            client_id,
            context: self.context,
            metadata: self.metadata.into_value(),
            display: self.display.map(SmallObject::into_value),
            binding_message: self.binding_message,
            client_reference: self.client_reference,
            nonce: URL_SAFE_NO_PAD.encode(clock::random_bytes::<16>()),
            ttl: Some(self.ttl.unwrap_or(config.challenge_ttl_seconds)),
            max_attempts: Some(self.max_attempts.unwrap_or(config.max_attempts)),
        }
    }
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
        let opened = Challenge::open(wanted.kind, max_attempts, ttl, context.now);
        let new = wanted.under(&config, tenant_id, client_id, context.now);
        let created = CreatedChallenge::of(new.challenge_id.clone(), &opened);
        let answer = Answer::created(&created)?;
        let change = keep.answer(context.change(caller.actor()), &answer);
        app.store.create_challenge(change, new).await?;
        Ok(answer)
    })
    .await
}

/// The tenant's settings.
pub(in crate::http) async fn settings(
    app: &App,
    tenant_id: &TenantId,
) -> Result<TenantConfig, Problem> {
    let tenant = app.store.tenant(tenant_id).await?;
    Ok(tenant.ok_or(Error::NotFound(Entity::Tenant))?.config)
}
