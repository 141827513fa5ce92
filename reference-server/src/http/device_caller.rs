//! Devices (contract §2): the handshake proved the certificate, the database says whether the device
//! may still act.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use identity_mtls::{Refusal, VerifiedDevice};
use identity_pki::DeviceIdentity;
use identity_store::{Actor, DeviceStanding, DeviceStatus, TenantStatus};

use super::caller::tenant_suspended;
use super::{ErrorCode, Problem};
use crate::App;

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
}

impl FromRequestParts<Arc<App>> for DeviceCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let certificate = presented(parts, app)?;
        if recheck(app, &certificate).is_err() {
            return Err(not_paired(ErrorCode::CallerNotPaired));
        }
        let caller = standing(certificate, app, ErrorCode::CallerNotPaired).await?;
        if caller.standing.active_serial != Some(caller.certificate.serial()) {
            return Err(not_paired(ErrorCode::CallerNotPaired));
        }
        app.seen.note(caller.identity().clone(), app.clock.now());
        Ok(caller)
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
        standing(certificate, app, ErrorCode::CallerRevoked)
            .await
            .map(Self)
    }
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

async fn standing(
    certificate: VerifiedDevice,
    app: &App,
    unpaired: ErrorCode,
) -> Result<DeviceCaller, Problem> {
    let standing = app
        .store
        .device_standing(certificate.identity(), app.clock.now())
        .await?;
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
