use async_trait::async_trait;
use identity_pki::{Fingerprint, SerialNumber, SpkiSha256, TbsSha256};
use time::OffsetDateTime;

use crate::{DeniedCertificate, Issuance, Result};

/// The issuance ledger and the denylist. Rows are written by [`DeviceStore`](crate::DeviceStore).
#[async_trait]
pub trait CertificateStore: Send + Sync {
    /// The ledger's row of a certificate. A global look-up: serial numbers are unique.
    async fn issuance(&self, serial: &SerialNumber) -> Result<Option<Issuance>>;

    /// Whether a key has had a certificate, of any device of any tenant.
    async fn key_was_certified(&self, spki_sha256: &SpkiSha256) -> Result<bool>;

    /// How many paired devices, of all tenants, act with a certificate of that CA that is valid at
    /// `now`.
    async fn active_devices(&self, ca: &Fingerprint, now: OffsetDateTime) -> Result<u64>;

    /// Why a certificate is denied; `None` when it is not. A global look-up.
    async fn denial(&self, tbs_sha256: &TbsSha256) -> Result<Option<DeniedCertificate>>;

    /// Denials beyond `after` in the order they were made, at most `limit`. `after` 0 starts from
    /// the first. Rows of all tenants: this feeds the handshake's denylist.
    async fn denials(&self, after: i64, limit: u32) -> Result<Vec<DeniedCertificate>>;

    /// Deletes denials whose certificate expired more than a day before `now`; returns how many.
    async fn purge_denials(&self, now: OffsetDateTime) -> Result<u64>;
}
