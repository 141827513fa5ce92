use async_trait::async_trait;
use identity_pki::{ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use crate::{Change, Expiry, ExpiryAlert, ExpiryMail, Result};

/// What was told of the expiry of the platform's certificates, each known by its fingerprint: the same
/// certificate uploaded again goes on where it was, and another begins anew. Events go to the platform's
/// audit chain.
#[async_trait]
pub trait ExpiryAlertStore: Send + Sync {
    /// What was told of a threshold of a certificate. No other threshold bears on it: a clock that was ahead
    /// silences none of those that it left out.
    async fn expiry_alert(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
    ) -> Result<ExpiryAlert>;

    /// Announces that a certificate has crossed a threshold, unless that was announced; returns whether it
    /// did. Events: `server_cert_expiring` or `platform_ca_expiring`, and `server_cert_expired` or
    /// `platform_ca_expired` for the last threshold. Where endpoints of the platform are to be told of it,
    /// `cert_expiry_alert_sent` with their number too.
    async fn announce_expiry(&self, change: Change, expiry: Expiry) -> Result<bool>;

    /// Claims the mail of a threshold until `until`, unless somebody has a claim to it at `now`, or it is
    /// finished; returns whether it did. A claim that was made more than `until - now` after `until` is none:
    /// the clock was set back. No event, no audit row.
    async fn claim_expiry_mail(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool>;

    /// Notes to whom the mail of a threshold was sent, and whether it is finished, with a claim or without,
    /// and gives the claim back, unless it is another's by now. Event: `cert_expiry_alert_sent`, if it was sent
    /// to anybody.
    async fn finish_expiry_mail(&self, change: Change, mail: ExpiryMail) -> Result<()>;
}
