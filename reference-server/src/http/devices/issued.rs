//! The answer that hands a certificate to its device, and what pairing and renewal share on the way
//! to it.

use identity_pki::{CaCertificate, DeviceIdentity, SpkiSha256, ValidatedCsr};
use identity_store::{CertificateRecord, DevicePolicy};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::App;
use crate::http::{Problem, Timestamp, require_mtls};
use crate::issuance;
use crate::start::StartError;

/// A certificate for the device that asked for it. The store has committed it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Issued {
    /// PEM.
    certificate: String,
    /// The platform CA that signed it, PEM.
    ca_chain: String,
    expires_at: Timestamp,
    /// When the device should ask for the next one.
    renew_after: Timestamp,
    server_time: Timestamp,
}

impl Issued {
    /// The answer at `now` for a certificate of a tenant with this policy.
    pub(super) async fn of(
        app: &App,
        certificate: CertificateRecord,
        policy: DevicePolicy,
        now: OffsetDateTime,
    ) -> Result<Self, Problem> {
        let renew_after = policy.renew_after(certificate.not_before, certificate.not_after);
        Ok(Self {
            ca_chain: issuer(app, &certificate).await?,
            expires_at: Timestamp(certificate.not_after),
            renew_after: Timestamp(renew_after),
            server_time: Timestamp(now),
            certificate: certificate.pem,
        })
    }
}

/// The CA that signed a certificate, PEM. Another replica may have made it a moment ago.
async fn issuer(app: &App, certificate: &CertificateRecord) -> Result<String, Problem> {
    let accepted = || {
        let trust = app.tls.trust();
        let mut cas = trust.certificates();
        let issuer = cas.find(|ca| ca.fingerprint() == certificate.ca_fingerprint);
        issuer.map(CaCertificate::pem)
    };
    if let Some(issuer) = accepted() {
        return Ok(issuer);
    }
    follow_cas(app).await?;
    accepted().ok_or_else(|| Problem::internal("the CA of a certificate is no longer accepted"))
}

/// Takes up which CA issues now, when the store says that another replica withdrew the one that did.
pub(super) async fn follow_cas(app: &App) -> Result<(), Problem> {
    let followed = app.follow_certificates().await;
    followed.map_err(|error| match error {
        StartError::Store(error) => error.into(),
        error => Problem::internal(error),
    })
}

/// Judges a CSR, under a blocklist of the platform's own keys.
pub(super) fn check_csr(
    app: &App,
    csr: &str,
    name: Option<&DeviceIdentity>,
) -> Result<ValidatedCsr, Problem> {
    let mut keys: Vec<SpkiSha256> = app.ca_keys.load().to_vec();
    keys.extend(app.tls.server_key());
    issuance::check_csr(csr, &keys, name)
}

/// Makes a certificate under the CA that issues now. It is not committed yet.
pub(super) fn issue(
    app: &App,
    csr: &ValidatedCsr,
    identity: &DeviceIdentity,
    policy: DevicePolicy,
    now: OffsetDateTime,
) -> Result<CertificateRecord, Problem> {
    require_mtls(app)?;
    match &**app.ca.load() {
        Some(ca) => issuance::issue(ca.get()?, csr, identity, policy, now),
        None => Err(Problem::internal("the platform CA is gone")),
    }
}
