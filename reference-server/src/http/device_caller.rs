//! Devices (contract §2): the handshake proved the certificate, the database says whether the device
//! may still act.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use identity_mtls::{Refusal, VerifiedDevice};
use identity_pki::DeviceIdentity;
use identity_store::{Actor, DeviceStanding, DeviceStatus, StoredChallenge, TenantStatus};

use super::caller::tenant_suspended;
use super::{ErrorCode, Problem, RequestContext};
use crate::{App, denials};

/// A device that may act: paired, with the certificate of this connection as its active one, of an
/// active tenant. Decided for this very request: the certificate again, and the rest by the database.
#[derive(Debug, Clone)]
pub struct DeviceCaller {
    /// The certificate of the connection.
    pub certificate: VerifiedDevice,
    /// What the database says of the device.
    pub standing: DeviceStanding,
}

impl DeviceCaller {
    /// Tenant and device.
    #[must_use]
    pub fn identity(&self) -> &DeviceIdentity {
        self.certificate.identity()
    }

    /// Who the audit trail says it was.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Device(self.identity().clone())
    }

    /// Whether the certificate of the connection is the device's active one.
    #[must_use]
    pub fn has_active_certificate(&self) -> bool {
        self.standing.active_tbs_sha256 == Some(self.certificate.tbs_sha256())
    }
}

impl FromRequestParts<Arc<App>> for DeviceCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let certificate = current(presented(parts, app)?, app)?;
        let standing = standing(&certificate, app).await?;
        let caller = acting(certificate, standing)?;
        if caller.standing.renewal_grace.is_some() {
            let context = RequestContext::from_request_parts(parts, app).await?;
            end_grace(app, &context, &caller).await?;
        }
        app.seen.note(caller.identity().clone(), app.clock.now());
        Ok(caller)
    }
}

/// A device that asks what waits for it. Whether it may act is read with the answer, at one moment:
/// each [`work`](Self::work) makes a [`DeviceCaller`] anew.
#[derive(Debug, Clone)]
pub struct PollingDevice(VerifiedDevice);

impl PollingDevice {
    /// The certificate of the connection, which may be nobody's.
    #[must_use]
    pub fn certificate(&self) -> &VerifiedDevice {
        &self.0
    }

    /// The caller and its open challenges, oldest first.
    ///
    /// # Errors
    ///
    /// What a [`DeviceCaller`] is refused with; what the store fails with.
    pub async fn work(
        &self,
        app: &App,
        context: &RequestContext,
    ) -> Result<(DeviceCaller, Vec<StoredChallenge>), Problem> {
        let certificate = current(self.0.clone(), app)?;
        let (store, now) = (&app.store, app.clock.now());
        let work = store.device_work(certificate.identity(), now).await?;
        let (standing, challenges) = work
            .map(|work| (work.standing, work.open_challenges))
            .unzip();
        let caller = acting(certificate, standing)?;
        end_grace(app, context, &caller).await?;
        Ok((caller, challenges.unwrap_or_default()))
    }
}

impl FromRequestParts<Arc<App>> for PollingDevice {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        presented(parts, app).map(Self)
    }
}

/// A device that may ask for its renewal: as [`DeviceCaller`], but its certificate may have been
/// superseded since the connection was made, which the renewal itself decides on, and a device
/// that is out is told so.
#[derive(Debug, Clone)]
pub struct RenewingDevice(pub DeviceCaller);

impl FromRequestParts<Arc<App>> for RenewingDevice {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let certificate = presented(parts, app)?;
        match recheck(app, &certificate) {
            Ok(()) | Err(Refusal::Denied { .. }) => {}
            Err(_) => return Err(not_paired(ErrorCode::CallerRevoked)),
        }
        let standing = standing(&certificate, app).await?;
        let caller = paired(certificate, standing, ErrorCode::CallerRevoked)?;
        if caller.has_active_certificate() && caller.standing.renewal_grace.is_some() {
            let context = RequestContext::from_request_parts(parts, app).await?;
            end_grace(app, &context, &caller).await?;
        }
        Ok(Self(caller))
    }
}

/// A device that acts with its active certificate has it: the one before needs its grace no more.
async fn end_grace(
    app: &App,
    context: &RequestContext,
    caller: &DeviceCaller,
) -> Result<(), Problem> {
    let Some(grace) = &caller.standing.renewal_grace else {
        return Ok(());
    };
    let change = context.change(caller.actor());
    let ended = app
        .store
        .end_renewal_grace(change, caller.identity(), &grace.superseded)
        .await?;
    denials::publish(app, ended.as_slice());
    Ok(())
}

/// Scanners are served once there is HTTPS and a platform CA.
///
/// # Errors
///
/// 503 `mtls_not_configured`.
pub fn require_mtls(app: &App) -> Result<(), Problem> {
    if app.tls.is_https() && app.ca.load().is_some() {
        Ok(())
    } else {
        Err(Problem::new(
            ErrorCode::MtlsNotConfigured,
            "An operator has to upload a server certificate and to make a platform CA first.",
        )
        .retry_after(std::time::Duration::from_secs(30)))
    }
}

/// The certificate of the connection.
fn presented(parts: &Parts, app: &App) -> Result<VerifiedDevice, Problem> {
    require_mtls(app)?;
    parts
        .extensions
        .get::<VerifiedDevice>()
        .cloned()
        .ok_or_else(|| {
            Problem::new(
                ErrorCode::ClientCertRequired,
                "Connect with the certificate that pairing gave to the device.",
            )
        })
}

/// A connection may outlive its certificate by the time that closing it takes.
fn recheck(app: &App, certificate: &VerifiedDevice) -> Result<(), Refusal> {
    let denylist = app.denylist.snapshot();
    certificate.recheck(app.clock.now(), &app.tls.trust(), denylist.as_deref())
}

/// The certificate, if it still holds.
fn current(certificate: VerifiedDevice, app: &App) -> Result<VerifiedDevice, Problem> {
    match recheck(app, &certificate) {
        Ok(()) => Ok(certificate),
        Err(_) => Err(not_paired(ErrorCode::CallerNotPaired)),
    }
}

/// What the database says now of the device that the certificate names.
async fn standing(
    certificate: &VerifiedDevice,
    app: &App,
) -> Result<Option<DeviceStanding>, Problem> {
    let (store, now) = (&app.store, app.clock.now());
    Ok(store.device_standing(certificate.identity(), now).await?)
}

/// The device whose active certificate this is.
fn acting(
    certificate: VerifiedDevice,
    standing: Option<DeviceStanding>,
) -> Result<DeviceCaller, Problem> {
    let caller = paired(certificate, standing, ErrorCode::CallerNotPaired)?;
    if caller.has_active_certificate() {
        Ok(caller)
    } else {
        Err(not_paired(ErrorCode::CallerNotPaired))
    }
}

fn paired(
    certificate: VerifiedDevice,
    standing: Option<DeviceStanding>,
    unpaired: ErrorCode,
) -> Result<DeviceCaller, Problem> {
    let Some(standing) = standing.filter(|standing| standing.status == DeviceStatus::Paired) else {
        return Err(not_paired(unpaired));
    };
    match standing.tenant_status {
        TenantStatus::Active => Ok(DeviceCaller {
            certificate,
            standing,
        }),
        TenantStatus::Suspended => Err(tenant_suspended()),
    }
}

fn not_paired(code: ErrorCode) -> Problem {
    Problem::new(
        code,
        "The certificate is no longer this device's: pair it anew.",
    )
}
