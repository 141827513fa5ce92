use async_trait::async_trait;
use identity_pki::{ExpiryThreshold, Fingerprint};
use time::OffsetDateTime;

use crate::{Change, Expiry, ExpiryAlerts, ExpiryMail, Result};

/// What was told of the expiry of the platform's certificates, each known by its fingerprint: the same
/// certificate uploaded again goes on where it was, and another begins anew. Events go to the platform's
/// audit chain.
#[async_trait]
pub trait ExpiryAlertStore: Send + Sync {
    /// How far the alerts of a certificate are.
    async fn expiry_alerts(&self, certificate: &Fingerprint) -> Result<ExpiryAlerts>;

    /// Announces that a certificate has crossed a threshold, unless that one or a later one was announced;
    /// returns whether it did. Events: `server_cert_expiring` or `platform_ca_expiring`, and
    /// `server_cert_expired` or `platform_ca_expired` for the last threshold. Where endpoints of the platform are
    /// to be told of it, `cert_expiry_alert_sent` with their number too.
    async fn announce_expiry(&self, change: Change, expiry: Expiry) -> Result<bool>;

    /// Claims the mail of a threshold until `until`, unless somebody has a claim at `now`, or the mail of
    /// that threshold or of a later one is finished; returns whether it did. A claim that was made more than
    /// `until - now` after `until` is none: the clock was set back. No event, no audit row.
    async fn claim_expiry_mail(
        &self,
        certificate: &Fingerprint,
        threshold: ExpiryThreshold,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool>;

    /// Notes to whom the mail of a threshold was sent, and whether it is finished, and gives the claim
    /// back, unless it is another's by now. Event: `cert_expiry_alert_sent`, if it was sent to anybody.
    async fn finish_expiry_mail(&self, change: Change, mail: ExpiryMail) -> Result<()>;
}
