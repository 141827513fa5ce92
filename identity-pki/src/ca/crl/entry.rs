use time::OffsetDateTime;

use crate::certificate::write_time;
use crate::der::{self, tag};
use crate::{Error, SerialNumber, extension, oid};

use crate::ca::issue;

/// Why a certificate was revoked (`CRLReason`, RFC 5280 §5.3.1).
///
/// These are the reasons that a device's certificate can have and that are final. Those for CAs and
/// attribute authorities are left out, and so are certificateHold and removeFromCRL: what is denied
/// here stays denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RevocationReason {
    /// keyCompromise: somebody else may hold the device's key.
    KeyCompromise,
    /// privilegeWithdrawn: the device may no longer do what its certificate says.
    PrivilegeWithdrawn,
    /// affiliationChanged: the device belongs to another tenant, or has another name.
    AffiliationChanged,
    /// cessationOfOperation: the device is out of service.
    CessationOfOperation,
    /// superseded: the device has a newer certificate.
    Superseded,
    /// No reason is told. The entry has no reason code then, as §5.3.1 asks.
    Unspecified,
}

impl RevocationReason {
    /// The value of the `CRLReason`; `None` where the extension is left out.
    pub(super) const fn code(self) -> Option<u8> {
        match self {
            Self::KeyCompromise => Some(1),
            Self::AffiliationChanged => Some(3),
            Self::Superseded => Some(4),
            Self::CessationOfOperation => Some(5),
            Self::PrivilegeWithdrawn => Some(9),
            Self::Unspecified => None,
        }
    }
}

/// One entry of `revokedCertificates` (RFC 5280 §5.1.2.6).
// The order of the fields is the order of the list, and what decides between duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevokedCertificate {
    serial: SerialNumber,
    revoked_at: OffsetDateTime,
    reason: RevocationReason,
}

impl RevokedCertificate {
    /// The certificate `serial` of the CA that is to sign the list. Parts of a second are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::RevocationDate`] for a time that no CRL can say.
    pub fn new(
        serial: SerialNumber,
        revoked_at: OffsetDateTime,
        reason: RevocationReason,
    ) -> Result<Self, Error> {
        // RFC 5280 §5.1.2.6: what UTCTime and GeneralizedTime can say.
        let revoked_at = issue::whole_seconds(revoked_at)
            .filter(|revoked_at| (1950..=9999).contains(&revoked_at.year()))
            .ok_or(Error::RevocationDate { serial, revoked_at })?;
        Ok(Self {
            serial,
            revoked_at,
            reason,
        })
    }

    /// The certificate's serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// When it was revoked, in seconds.
    #[must_use]
    pub const fn revoked_at(&self) -> OffsetDateTime {
        self.revoked_at
    }

    /// Why it was revoked.
    #[must_use]
    pub const fn reason(&self) -> RevocationReason {
        self.reason
    }

    pub(super) fn to_der(self) -> Vec<u8> {
        let serial = der::tlv(tag::INTEGER, &[issue::minimal(self.serial.as_bytes())]);
        let revoked_at = write_time(self.revoked_at);
        match self.reason.code() {
            None => der::sequence(&[&serial, &revoked_at]),
            Some(code) => {
                let reason = der::tlv(tag::ENUMERATED, &[&[code]]);
                let reason = extension::write(oid::CRL_REASON, false, &reason);
                der::sequence(&[&serial, &revoked_at, &der::sequence(&[&reason])])
            }
        }
    }
}

/// Sorted by serial number, each once: of several entries for one certificate, that with the
/// earliest date stays, and of equal dates that with the reason named first in
/// [`RevocationReason`].
pub(super) fn collapse(
    entries: impl IntoIterator<Item = RevokedCertificate>,
) -> Vec<RevokedCertificate> {
    let mut entries: Vec<RevokedCertificate> = entries.into_iter().collect();
    entries.sort_unstable();
    entries.dedup_by_key(|entry| entry.serial);
    entries
}
