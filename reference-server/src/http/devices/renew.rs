use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use identity_mtls::VerifiedDevice;
use identity_pki::{TbsSha256, ValidatedCsr};
use identity_store::{
    Actor, CertificateRecord, Chain, Conflict, DeviceStanding, Error, Event, RenewDevice,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::issued::{self, Issued};
use crate::http::{
    DeviceCaller, ErrorCode, JsonBody, Problem, ProblemDocument, RenewingDevice, RequestContext,
};
use crate::{App, denials, superseded};

/// What a device sends to get its next certificate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renewal {
    /// PKCS#10 for a new key, PEM or base64 of its DER. P-256, signed with SHA-256.
    csr: String,
}

/// Renews the calling device's certificate. The old one is denied before the answer, unless the tenant's
/// `renewal_grace_seconds` let it repeat this renewal; its connections close.
#[utoipa::path(post, path = "/v1/devices/renew", tag = "scanner", security(("device" = [])), request_body = Renewal,
    responses(
        (status = 200, description = "The new certificate", body = Issued),
        (status = 400, description = "`csr_invalid`, `csr_invalid_algorithm`, \
            `csr_invalid_extensions`, `csr_signature_invalid`, `csr_key_reused`",
            body = ProblemDocument),
        (status = 403, description = "`device_revoked`", body = ProblemDocument),
        (status = 409, description = "`renewal_conflict`", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn renew(
    State(app): State<Arc<App>>,
    context: RequestContext,
    presented: Option<Extension<VerifiedDevice>>,
    device: Result<RenewingDevice, Problem>,
    body: Result<JsonBody<Renewal>, Problem>,
) -> Result<Json<Issued>, Problem> {
    if let Some(Extension(presented)) = &presented {
        let is_active = matches!(&device, Ok(device) if device.0.has_active_certificate());
        admit(&app, &context, presented, is_active).await?;
    }
    let renewed = match (device, body) {
        (Ok(device), Ok(body)) => certificate(&app, &context, &device.0, &body.value.csr).await,
        // Who may not renew is told so, whatever they sent.
        (Err(problem), _) | (Ok(_), Err(problem)) => Err(problem),
    };
    match (renewed, presented) {
        (Ok(issued), _) => Ok(Json(issued)),
        (Err(problem), None) => Err(problem),
        (Err(problem), Some(Extension(presented))) => {
            record_failure(&app, &context, &presented, &problem).await?;
            Err(problem)
        }
    }
}

/// Counts the try against its device, whatever comes of it: a try that fails leaves an audit row, and
/// one beyond the limit leaves none. Whoever has another certificate with the device's name takes none of
/// its tries.
async fn admit(
    app: &App,
    context: &RequestContext,
    presented: &VerifiedDevice,
    is_active: bool,
) -> Result<(), Problem> {
    let limit = if is_active {
        &app.rate_limits.renewal
    } else {
        &app.rate_limits.other_renewal
    };
    limit
        .take(app.shared_store(), presented.identity(), context.now)
        .await
        .map_err(|refusal| refusal.problem(ErrorCode::RateLimited, "The device renewed too often."))
}

async fn certificate(
    app: &App,
    context: &RequestContext,
    device: &DeviceCaller,
    csr: &str,
) -> Result<Issued, Problem> {
    let identity = device.identity();
    let csr = issued::check_csr(app, csr, Some(identity))?;
    let presented = device.certificate.tbs_sha256();
    if is_in_grace(&device.standing, &presented, context) {
        return repeated(app, context, device, &csr, true).await;
    }
    let policy = super::policy(app, identity.tenant_id()).await?;
    let renewal = || {
        Ok::<_, Problem>(RenewDevice {
            presented,
            certificate: issued::issue(app, &csr, identity, policy, context.now)?,
        })
    };
    let change = || context.change(device.actor());
    let mut renewed = app.store.renew_device(change(), renewal()?).await;
    if let Err(Error::Conflict(Conflict::CaWithdrawn)) = renewed {
        issued::follow_cas(app).await?;
        renewed = app.store.renew_device(change(), renewal()?).await;
    }
    let renewed = match renewed {
        // The same renewal may have been under way, when its client gave up waiting.
        Err(Error::Conflict(Conflict::RenewalConflict)) => {
            let standing = app.store.device_standing(identity, context.now).await?;
            let may_repeat = standing.is_some_and(|now| is_in_grace(&now, &presented, context));
            return repeated(app, context, device, &csr, may_repeat).await;
        }
        renewed => renewed?,
    };
    denials::publish(app, &renewed.denied);
    // This connection too, when its answers are flushed, and also in the certificate's grace.
    denials::close(app, presented);
    let certificate = renewed.device.certificate;
    let certificate =
        certificate.ok_or_else(|| Problem::internal("a renewed device has no certificate"))?;
    Issued::of(app, certificate, policy, context.now).await
}

/// Whether the presented certificate was superseded, and may still repeat its renewal.
fn is_in_grace(standing: &DeviceStanding, presented: &TbsSha256, context: &RequestContext) -> bool {
    let grace = standing.renewal_grace;
    grace.is_some_and(|grace| grace.covers(presented, context.now))
}

/// The answer to a renewal again, for the key that it was for: the answer may have been lost. Who comes with
/// another key may be somebody else with a stolen certificate, or the device after the thief: an alarm.
async fn repeated(
    app: &App,
    context: &RequestContext,
    device: &DeviceCaller,
    csr: &ValidatedCsr,
    may_repeat: bool,
) -> Result<Issued, Problem> {
    let identity = device.identity();
    let active = app.store.device(identity, context.now).await?;
    let active = active.and_then(|device| device.certificate);
    let same_key = |active: &CertificateRecord| active.spki_sha256 == csr.spki_sha256();
    let Some(certificate) = active.filter(|active| may_repeat && same_key(active)) else {
        if may_repeat {
            record_use(app, context, &device.certificate).await?;
        }
        let detail =
            "The certificate was renewed already, and its grace is over or for another key.";
        return Err(Problem::new(ErrorCode::RenewalConflict, detail));
    };
    let policy = super::policy(app, identity.tenant_id()).await?;
    Issued::of(app, certificate, policy, context.now).await
}

/// Audits that a superseded certificate was used for something else than to repeat its renewal.
async fn record_use(
    app: &App,
    context: &RequestContext,
    presented: &VerifiedDevice,
) -> Result<(), Problem> {
    let event = Event::SupersededCertificateUsed {
        device_id: presented.identity().device_id().clone(),
        old_fingerprint: presented.fingerprint(),
    };
    record(app, context, presented, event).await?;
    superseded::count_use();
    Ok(())
}

/// Audits a renewal that a device was refused. The server's own failures are in its log.
async fn record_failure(
    app: &App,
    context: &RequestContext,
    presented: &VerifiedDevice,
    problem: &Problem,
) -> Result<(), Problem> {
    if problem.code().status().is_server_error() {
        return Ok(());
    }
    let event = Event::CertRenewalFailed {
        device_id: presented.identity().device_id().clone(),
        old_fingerprint: presented.fingerprint(),
        reason: problem.code().as_str(),
    };
    record(app, context, presented, event).await
}

/// Audits what a device did with a certificate, in its tenant's chain.
async fn record(
    app: &App,
    context: &RequestContext,
    presented: &VerifiedDevice,
    event: Event,
) -> Result<(), Problem> {
    let identity = presented.identity();
    let change = context.change(Actor::Device(identity.clone()));
    let chain = Chain::Tenant(identity.tenant_id().clone());
    Ok(app.store.record(change, chain, vec![event]).await?)
}
