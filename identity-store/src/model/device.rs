use std::collections::BTreeMap;

use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{DeviceIdentity, PairingCodeHash, TbsSha256};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{CertificateRecord, DeniedCertificate, DevicePolicy, StoredChallenge, TenantStatus};

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Tenant and id.
    pub identity: DeviceIdentity,
    /// Its name, for people.
    pub name: String,
    /// Where it stands.
    pub location: Option<String>,
    /// What it is, and the product and action that it acts for.
    pub binding: DeviceBinding,
    /// The tenant's own labels.
    pub tags: BTreeMap<String, String>,
    /// Where it is in its life. A `pending_pairing` whose code has run out reads as `expired`.
    pub status: DeviceStatus,
    /// What it told about itself when it paired.
    pub info: DeviceInfo,
    /// Its active certificate; only a paired device has one.
    pub certificate: Option<CertificateRecord>,
    /// Until when its pairing code is good, while it waits to be paired or ran out waiting.
    pub pairing_expires_at: Option<OffsetDateTime>,
    /// When it was last paired.
    pub paired_at: Option<OffsetDateTime>,
    /// When it was last revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Who revoked it: the id of an actor.
    pub revoked_by: Option<String>,
    /// When it last made a request.
    pub last_seen_at: Option<OffsetDateTime>,
    /// When it was registered.
    pub created_at: OffsetDateTime,
}

/// The most tags that a device has.
pub const MAX_DEVICE_TAGS: usize = 32;

/// Where a device is in its life (contract §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// It has a pairing code that was not used yet.
    PendingPairing,
    /// It has an active certificate.
    Paired,
    /// It is out.
    Revoked,
    /// Its pairing code ran out unused.
    Expired,
}

/// What a device tells about itself when it pairs. Not verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Model name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The maker's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// An id of the hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_id: Option<String>,
    /// Whatever else it sent.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A device to register.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDevice {
    /// Tenant and id.
    pub identity: DeviceIdentity,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub location: Option<String>,
    /// What it is, and what it is bound to.
    pub binding: DeviceBinding,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Its first pairing code.
    pub pairing: PairingOffer,
}

/// A pairing code that was given out, known by its keyed hash alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingOffer {
    /// HMAC of the code.
    pub code_hash: PairingCodeHash,
    /// Until when it is good.
    pub expires_at: OffsetDateTime,
}

/// A change of what people say about a device. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceEdit {
    /// A new name.
    pub name: Option<String>,
    /// A new place, or none.
    pub location: Option<Option<String>>,
    /// A new binding. A device's class never changes: one of another class is refused.
    pub binding: Option<DeviceBinding>,
    /// All its labels anew.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Which devices to list. Every `None` matches all.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceFilter {
    /// In this state at `now`.
    pub status: Option<DeviceStatus>,
    /// Of this class.
    pub class: Option<DeviceClass>,
    /// With this label.
    pub tag: Option<(String, String)>,
    /// Seen at or after this moment.
    pub seen_since: Option<OffsetDateTime>,
    /// Not seen since this moment, or never.
    pub unseen_since: Option<OffsetDateTime>,
    /// With this text, as it is, in name, location or id; ASCII letters in any case.
    pub text: Option<String>,
    /// With an active certificate (`Some(true)`) or without one.
    pub has_certificate: Option<bool>,
    /// Whose certificate expires after this moment.
    pub expires_after: Option<OffsetDateTime>,
    /// Whose certificate expires at or before this moment.
    pub expires_until: Option<OffsetDateTime>,
    /// The moment at which pairing codes count as run out.
    pub now: OffsetDateTime,
}

impl DeviceFilter {
    /// All devices.
    #[must_use]
    pub fn all(now: OffsetDateTime) -> Self {
        Self {
            status: None,
            class: None,
            tag: None,
            seen_since: None,
            unseen_since: None,
            text: None,
            has_certificate: None,
            expires_after: None,
            expires_until: None,
            now,
        }
    }
}

/// What a pairing code stands for while it is good: read before a certificate is made.
#[derive(Debug, Clone, PartialEq)]
pub struct PairingCandidate {
    /// The device that the code was given out for.
    pub identity: DeviceIdentity,
    /// Whether its tenant's callers are served.
    pub tenant_status: TenantStatus,
    /// How its tenant's certificates are made.
    pub device_policy: DevicePolicy,
    /// The certificate that the code was spent on already.
    pub spent_on: Option<CertificateRecord>,
}

/// A pairing to commit.
#[derive(Debug, Clone, PartialEq)]
pub struct PairDevice {
    /// The code.
    pub code_hash: PairingCodeHash,
    /// The certificate that was made for it.
    pub certificate: CertificateRecord,
    /// What the device told about itself.
    pub info: DeviceInfo,
}

/// What came of a pairing.
#[derive(Debug, Clone, PartialEq)]
pub enum Paired {
    /// The code was consumed: the new certificate is the device's.
    Now(Box<Device>),
    /// The same key had spent the code before: this certificate is the device's, the new one is not.
    Before(Box<Device>),
}

/// A renewal to commit.
#[derive(Debug, Clone, PartialEq)]
pub struct RenewDevice {
    /// The certificate that the device presented.
    pub presented: TbsSha256,
    /// The certificate that was made for it.
    pub certificate: CertificateRecord,
}

/// What came of a renewal.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewed {
    /// The device with its new certificate.
    pub device: Device,
    /// The denylist's new rows: one that was still in its grace, and the old one unless it is now.
    pub denied: Vec<DeniedCertificate>,
}

/// The time in which a superseded certificate may repeat its renewal, with the same key, and get the
/// same certificate again: a lost answer costs a device nothing. It may do nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalGrace {
    /// The superseded certificate.
    pub superseded: TbsSha256,
    /// When it is over, unless the active certificate is used before.
    pub ends_at: OffsetDateTime,
}

impl RenewalGrace {
    /// Whether a certificate is in it at `now`.
    #[must_use]
    pub fn covers(&self, certificate: &TbsSha256, now: OffsetDateTime) -> bool {
        self.superseded == *certificate && now < self.ends_at
    }
}

/// What came of a revocation, or of a pairing code that replaces a certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Revocation {
    /// The device.
    pub device: Device,
    /// The denylist's new rows: one for each certificate of the device that had none.
    pub denied: Vec<DeniedCertificate>,
}

/// Whether a device may act, read from the database on each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStanding {
    /// Where the device is in its life.
    pub status: DeviceStatus,
    /// SHA-256 of what was signed of its active certificate. A serial number would let in another
    /// certificate that whoever has a CA's key gave it.
    pub active_tbs_sha256: Option<TbsSha256>,
    /// What it is.
    pub class: DeviceClass,
    /// Whether its tenant is served.
    pub tenant_status: TenantStatus,
    /// The grace of the certificate before the active one, until it was
    /// [ended](crate::DeviceStore::end_renewal_grace), also when it is over.
    pub renewal_grace: Option<RenewalGrace>,
}

/// What waits for a device, and whether it may be told.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceWork {
    /// Whether the device may act.
    pub standing: DeviceStanding,
    /// Its open challenges, oldest first.
    pub open_challenges: Vec<StoredChallenge>,
}
