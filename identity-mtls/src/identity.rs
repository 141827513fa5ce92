use std::sync::Arc;

use identity_pki::{
    DeviceCertificate, DeviceIdentity, Fingerprint, SerialNumber, SpkiSha256, TbsSha256,
};
use time::OffsetDateTime;

use crate::decision::check_validity;
use crate::trust::Authority;
use crate::{DenylistSnapshot, Refusal, TrustBundle};

/// A device whose certificate was [decided on](crate::decide): the proof that a caller is who it
/// says.
///
/// There is no other way to get one than from a verified chain, so code that takes a
/// `VerifiedDevice` need not check again. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDevice(Arc<Facts>);

#[derive(Debug, PartialEq, Eq)]
struct Facts {
    identity: DeviceIdentity,
    serial: SerialNumber,
    fingerprint: Fingerprint,
    tbs_sha256: TbsSha256,
    spki_sha256: SpkiSha256,
    issuer: Fingerprint,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl VerifiedDevice {
    /// The device of a leaf that obeys the profile and that `issuer` was found to have signed.
    pub(crate) fn from_verified(leaf: &DeviceCertificate, issuer: &Authority) -> Self {
        Self(Arc::new(Facts {
            identity: leaf.identity().clone(),
            serial: leaf.serial(),
            fingerprint: leaf.fingerprint(),
            tbs_sha256: leaf.tbs_sha256(),
            spki_sha256: leaf.spki_sha256(),
            issuer: issuer.fingerprint,
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            expires_at: leaf.not_after().min(issuer.certificate.not_after()),
        }))
    }

    /// Tenant and device, from the certificate's one SAN URI.
    #[must_use]
    pub fn identity(&self) -> &DeviceIdentity {
        &self.0.identity
    }

    /// The certificate's serial number.
    #[must_use]
    pub fn serial(&self) -> SerialNumber {
        self.0.serial
    }

    /// SHA-256 of the certificate, for people; decisions go by [`tbs_sha256`](Self::tbs_sha256).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The certificate's key on the denylist.
    #[must_use]
    pub fn tbs_sha256(&self) -> TbsSha256 {
        self.0.tbs_sha256
    }

    /// The device's key pair.
    #[must_use]
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.0.spki_sha256
    }

    /// The CA that issued the certificate; of several certificates of that CA under one key, the one
    /// that was valid at the decision, and will be for longest.
    #[must_use]
    pub fn issuer(&self) -> Fingerprint {
        self.0.issuer
    }

    /// The first moment of the certificate's validity.
    #[must_use]
    pub fn not_before(&self) -> OffsetDateTime {
        self.0.not_before
    }

    /// The last moment of the certificate's validity.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.not_after
    }

    /// The last moment at which both the certificate and its CA are valid.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.0.expires_at
    }

    /// Decides again on what can change after the chain was verified: validity of leaf and CA,
    /// whether the CA is still accepted, the denylist, and whether that is recent enough.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that names the first rule broken.
    pub fn recheck(
        &self,
        now: OffsetDateTime,
        trust: &TrustBundle,
        denylist: Option<&DenylistSnapshot>,
    ) -> Result<(), Refusal> {
        check_validity(self.0.not_before, self.0.not_after, now)?;
        let issuer = trust.find(self.0.issuer).ok_or(Refusal::UnknownIssuer)?;
        if !issuer.is_valid_at(now) {
            return Err(Refusal::CaNotValid {
                not_before: issuer.not_before(),
                not_after: issuer.not_after(),
                now,
            });
        }
        let denylist = denylist.ok_or(Refusal::NoDenylist)?;
        if denylist.contains(&self.0.tbs_sha256) {
            return Err(Refusal::Denied {
                identity: self.0.identity.clone(),
                tbs_sha256: self.0.tbs_sha256,
            });
        }
        denylist.check_age(now)
    }
}
