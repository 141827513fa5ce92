use async_trait::async_trait;
use identity_pki::{DeviceIdentity, PairingCodeHash, TbsSha256, TenantId};
use time::OffsetDateTime;

use crate::{
    Change, DeniedCertificate, Device, DeviceEdit, DeviceFilter, DeviceStanding, DeviceWork,
    NewDevice, Page, PageRequest, PairDevice, Paired, PairingCandidate, PairingOffer, RenewDevice,
    Renewed, Result, Revocation,
};

/// Devices, their pairing and the life of their certificates.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Registers a device, waiting to be paired. Event: `device_created`.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn create_device(&self, change: Change, device: NewDevice) -> Result<Device>;

    /// Registers devices as [`create_device`](Self::create_device) does: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn create_devices(&self, change: Change, devices: Vec<NewDevice>) -> Result<()>;

    /// Reads a device; `now` decides whether an unused pairing code has run out.
    async fn device(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<Device>>;

    /// Lists a tenant's devices, newest first.
    async fn devices(
        &self,
        tenant_id: &TenantId,
        filter: DeviceFilter,
        page: PageRequest,
    ) -> Result<Page<Device>>;

    /// Changes what people say about a device. Event: `device_updated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Device`](crate::Entity::Device) is not found;
    /// [`Conflict::DeviceClassFixed`](crate::Conflict::DeviceClassFixed).
    async fn update_device(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        edit: DeviceEdit,
    ) -> Result<Device>;

    /// Gives a device a new pairing code in place of any earlier one, and puts it back to
    /// `pending_pairing`. With `replace` a paired device is accepted: its certificates that are not
    /// denied yet are denied with reason `replaced`, those that look expired too, since the clock of
    /// another process may differ, and its open challenges are canceled with reason `device_revoked`.
    /// Events: `pairing_code_issued`, and
    /// `challenge_canceled` for each challenge.
    ///
    /// # Errors
    ///
    /// [`Entity::Device`](crate::Entity::Device) is not found;
    /// [`Conflict::DeviceAlreadyPaired`](crate::Conflict::DeviceAlreadyPaired) without `replace`.
    async fn issue_pairing_code(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        offer: PairingOffer,
        replace: bool,
    ) -> Result<Revocation>;

    /// What a pairing code stands for at `now`: a device that waits for it, or one that was paired
    /// with it while the code is still in its life. `None` for an unknown, replaced or expired code,
    /// and for one whose device was renewed or revoked since.
    /// This is a global look-up: the code names the tenant.
    async fn pairing_candidate(
        &self,
        code_hash: &PairingCodeHash,
        now: OffsetDateTime,
    ) -> Result<Option<PairingCandidate>>;

    /// Consumes a pairing code: the device is paired, the certificate is its active one and stands
    /// in the issuance ledger. Of any number of calls with one code exactly one is
    /// [`Paired::Now`]. A call with the key that won, within the code's life, is
    /// [`Paired::Before`] and changes nothing. Event: `device_paired`.
    ///
    /// # Errors
    ///
    /// [`Conflict::PairingCodeInvalid`](crate::Conflict::PairingCodeInvalid) for a code that is
    /// unknown, replaced, expired at `change.at`, spent by another key, or whose device was renewed or
    /// revoked since, and when the certificate is not for the code's device. [`Conflict::KeyReused`](crate::Conflict::KeyReused) when the
    /// key has had a certificate before. [`Conflict::CaWithdrawn`](crate::Conflict::CaWithdrawn) for a
    /// certificate of a CA that was tainted or retired.
    async fn pair_device(&self, change: Change, pairing: PairDevice) -> Result<Paired>;

    /// Replaces a device's active certificate by a new one, and enters that in the ledger. If the tenant's
    /// `renewal_grace_seconds` are 0 the old one is denied with reason `renewed`, otherwise it is in its
    /// [grace](crate::RenewalGrace) for so long from `change.at` on. One that was in its grace before is denied.
    /// Event: `cert_renewed`.
    ///
    /// # Errors
    ///
    /// [`Entity::Device`](crate::Entity::Device) is not found;
    /// [`Conflict::DeviceNotPaired`](crate::Conflict::DeviceNotPaired);
    /// [`Conflict::RenewalConflict`](crate::Conflict::RenewalConflict) when the presented
    /// certificate is not the active one; [`Conflict::KeyReused`](crate::Conflict::KeyReused) when
    /// the new key has had a certificate before;
    /// [`Conflict::CaWithdrawn`](crate::Conflict::CaWithdrawn) for a certificate of a CA that was tainted
    /// or retired.
    async fn renew_device(&self, change: Change, renewal: RenewDevice) -> Result<Renewed>;

    /// Ends the grace of a superseded certificate, which is denied with reason `renewed`; `None` when it is
    /// not in its grace. No event, no audit row: its renewal told of it.
    async fn end_renewal_grace(
        &self,
        change: Change,
        identity: &DeviceIdentity,
        superseded: &TbsSha256,
    ) -> Result<Option<DeniedCertificate>>;

    /// The superseded certificates whose grace is over at `now` and was not ended, those first whose was over
    /// first; at most `limit`. Of all tenants.
    async fn overdue_renewal_graces(
        &self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(DeviceIdentity, TbsSha256)>>;

    /// Revokes a device: its status, a denylist row with reason `revoked` for each of its
    /// certificates that is not denied yet, those that look expired too, its open challenges canceled
    /// with reason `device_revoked`. A device that is revoked already stays as it is, without an event.
    /// Events: `device_revoked`, and `challenge_canceled` for each challenge.
    ///
    /// # Errors
    ///
    /// [`Entity::Device`](crate::Entity::Device) is not found.
    async fn revoke_device(&self, change: Change, identity: &DeviceIdentity) -> Result<Revocation>;

    /// Whether a device may act: one indexed read of what was committed last, never of a cache.
    async fn device_standing(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceStanding>>;

    /// As [`device_standing`](Self::device_standing), with the challenges of the device that are open at
    /// `now`, oldest first: both as they were at one moment, in one read.
    async fn device_work(
        &self,
        identity: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceWork>>;

    /// Notes when devices were last seen; a later moment stays, an unknown device is passed over.
    /// No event, no audit row.
    async fn touch_devices(&self, seen: Vec<(DeviceIdentity, OffsetDateTime)>) -> Result<()>;
}
