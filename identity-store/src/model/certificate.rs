use identity_pki::{DeviceIdentity, Fingerprint, SerialNumber, SpkiSha256, TbsSha256};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A device certificate that was issued, with the bytes that a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Whose it is.
    pub identity: DeviceIdentity,
    /// Its serial number, unique over all CAs.
    pub serial: SerialNumber,
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// SHA-256 of what the CA signed: the key of the denylist.
    pub tbs_sha256: TbsSha256,
    /// SHA-256 of its key.
    pub spki_sha256: SpkiSha256,
    /// The CA that signed it.
    pub ca_fingerprint: Fingerprint,
    /// From when it is valid.
    pub not_before: OffsetDateTime,
    /// Until when it is valid.
    pub not_after: OffsetDateTime,
    /// The certificate, PEM, ending in a newline.
    pub pem: String,
}

/// Why a certificate was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuancePurpose {
    /// A device was paired.
    Pairing,
    /// A device renewed its certificate.
    Renewal,
}

/// A row of the issuance ledger: one for each certificate, committed before the certificate leaves
/// the process. No setting turns it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// The certificate.
    pub certificate: CertificateRecord,
    /// The profile that it follows; `device` is the only one.
    pub profile: String,
    /// Why it was issued.
    pub purpose: IssuancePurpose,
    /// The request that asked for it.
    pub request_id: String,
    /// When.
    pub issued_at: OffsetDateTime,
}

/// Why a certificate is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// Its device was revoked.
    Revoked,
    /// Its device has a newer one.
    Renewed,
    /// Its device got a new pairing code: the key was lost, or the pairing stayed half-done.
    Replaced,
}

/// A row of `revoked_cert_fingerprints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedCertificate {
    /// Where the row stands in the order of denials; rises with each.
    pub sequence: i64,
    /// What the decision is keyed by.
    pub tbs_sha256: TbsSha256,
    /// What people see.
    pub fingerprint: Fingerprint,
    /// Its serial number, by which a certificate revocation list of its CA names it.
    pub serial: SerialNumber,
    /// The CA that signed it.
    pub ca_fingerprint: Fingerprint,
    /// Whose certificate it was.
    pub identity: DeviceIdentity,
    /// Why it is denied.
    pub reason: DenialReason,
    /// Since when.
    pub revoked_at: OffsetDateTime,
    /// By whom: the id of an actor.
    pub revoked_by: String,
    /// When the certificate expires by itself; the row may go a day later.
    pub not_after: OffsetDateTime,
}
