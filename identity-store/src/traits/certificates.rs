use std::collections::BTreeMap;

use async_trait::async_trait;
use identity_pki::{DeviceId, Fingerprint, SerialNumber, SpkiSha256, TbsSha256};
use time::{Duration, OffsetDateTime};

use crate::{DenialCursor, DeniedCertificate, DeniedPage, Issuance, Page, PageRequest, Result};

/// The issuance ledger and the denylist. Rows are written by [`DeviceStore`](crate::DeviceStore).
#[async_trait]
pub trait CertificateStore: Send + Sync {
    /// The ledger's row of a certificate. A global look-up: serial numbers are unique.
    async fn issuance(&self, serial: &SerialNumber) -> Result<Option<Issuance>>;

    /// The ledger's rows, newest first: those of the devices of an id, of whatever tenant, or all.
    async fn issuances(
        &self,
        device_id: Option<&DeviceId>,
        page: PageRequest,
    ) -> Result<Page<Issuance>>;

    /// Whether a key has had a certificate, of any device of any tenant.
    async fn key_was_certified(&self, spki_sha256: &SpkiSha256) -> Result<bool>;

    /// How many paired devices, of all tenants, need each CA at `now`: act with a valid certificate of
    /// it, or have one in its renewal's grace, without which they could not repeat the renewal. It looks
    /// at every device, page by page: what changes meanwhile counts or does not.
    async fn active_devices(&self, now: OffsetDateTime) -> Result<BTreeMap<Fingerprint, u64>>;

    /// Why a certificate is denied; `None` when it is not. A global look-up.
    async fn denial(&self, tbs_sha256: &TbsSha256) -> Result<Option<DeniedCertificate>>;

    /// Denials beyond `after` in the order of their sequence numbers, at most `limit`. `after` 0 starts
    /// from the first. Of all tenants, for a revocation list. A change under way may still add one
    /// with an earlier number, so that this is no feed: [`denied`](Self::denied) is.
    async fn denials(&self, after: i64, limit: u32) -> Result<Vec<DeniedCertificate>>;

    /// What was denied beyond `after`, at most `limit` digests: the feed of the handshake's denylist.
    /// Nothing that was committed before the call is missed by one who reads on until
    /// [`is_last`](DeniedPage::is_last), also when it was denied before what was read earlier. A
    /// digest may come again.
    async fn denied(&self, after: DenialCursor, limit: u32) -> Result<DeniedPage>;

    /// Deletes denials whose certificate expired long ago; returns how many.
    ///
    /// No clock decides that alone, since one that is ahead would have what is live forgotten for ever.
    /// The database keeps how far it was purged, which a call moves on by at most `step`, and never
    /// beyond [`PURGE_MARGIN`](crate::PURGE_MARGIN) before `now`: a denial goes when its certificate
    /// expired before that. If calls move it on no faster than twice the time that passes, a clock that
    /// is ahead, however far, has nothing live deleted before it was so for a week less a day. The place
    /// is `now` less the margin at first, and no later than that before the first denial; while nothing
    /// is denied it goes back to `now` less the margin too.
    async fn purge_denials(&self, now: OffsetDateTime, step: Duration) -> Result<u64>;
}
