use time::{Duration, OffsetDateTime};

use crate::certificate::write_time;
use crate::der::{self, tag};
use crate::key::{CaKey, P256Spki};
use crate::{
    CaCertificate, Curve, DeviceCertificate, DeviceIdentity, Error, Fingerprint, SerialNumber,
    SpkiSha256, TbsSha256, pem, profile,
};

use super::{recheck, signed};

/// When a certificate or a CRL is issued and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    now: OffsetDateTime,
    validity: Duration,
    backdate: Duration,
}

impl Terms {
    /// From `now` less `backdate`, for clocks that are late, until `now` and `validity`. Both are
    /// at least zero, the validity more; parts of a second are dropped.
    #[must_use]
    pub const fn new(now: OffsetDateTime, validity: Duration, backdate: Duration) -> Self {
        Self {
            now,
            validity,
            backdate,
        }
    }

    /// When it is issued.
    pub(super) const fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub(super) fn validity(&self) -> Result<Validity, Error> {
        let refused = Error::Validity {
            validity: self.validity,
            backdate: self.backdate,
        };
        if self.validity < Duration::SECOND || self.backdate.is_negative() {
            return Err(refused);
        }
        let not_before = self.now.checked_sub(self.backdate);
        let not_after = self.now.checked_add(self.validity);
        let (Some(not_before), Some(not_after)) = (
            not_before.and_then(whole_seconds),
            not_after.and_then(whole_seconds),
        ) else {
            return Err(refused);
        };
        let validity = Validity {
            not_before,
            not_after,
        };
        // RFC 5280 §4.1.2.5: what UTCTime and GeneralizedTime can say.
        if validity.not_before.year() < 1950 || validity.not_after.year() > 9999 {
            return Err(refused);
        }
        Ok(validity)
    }
}

/// In UTC, without the parts of a second. `None` where the year in UTC is beyond 9999 or −9999,
/// though the one of the time's own offset is not.
pub(super) fn whole_seconds(time: OffsetDateTime) -> Option<OffsetDateTime> {
    let utc = time.checked_to_offset(time::UtcOffset::UTC)?;
    Some(utc - Duration::nanoseconds(i64::from(utc.nanosecond())))
}

/// Both ends included (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

/// A device's certificate but for the signature.
///
/// [`tbs`](Self::tbs) is what the CA's key signs; [`complete`](Self::complete) takes the signature
/// and judges the result. The bytes are built once: what was checked is what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedCertificate {
    pub(super) tbs: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) issuer_key: CaKey,
    pub(super) authority_key_id: Vec<u8>,
    pub(super) serial: SerialNumber,
    pub(super) validity: Validity,
    pub(super) identity: DeviceIdentity,
    pub(super) key: P256Spki,
}

impl UnsignedCertificate {
    pub(super) fn new(
        ca: &CaCertificate,
        key: P256Spki,
        identity: &DeviceIdentity,
        serial: SerialNumber,
        terms: &Terms,
    ) -> Result<Self, Error> {
        ca.check_valid_at(terms.now)?;
        let mut validity = terms.validity()?;
        validity.not_before = validity.not_before.max(ca.not_before());
        validity.not_after = validity.not_after.min(ca.not_after());
        let tbs = write_tbs(&Fields {
            serial,
            curve: ca.curve(),
            issuer: ca.subject_der(),
            validity,
            subject: &profile::subject(identity),
            key: key.as_bytes(),
            extensions: &profile::write_extensions(identity, &key, ca.subject_key_id()),
        });
        Ok(Self {
            tbs,
            issuer: ca.subject_der().to_vec(),
            issuer_key: ca.key().clone(),
            authority_key_id: ca.subject_key_id().to_vec(),
            serial,
            validity,
            identity: identity.clone(),
            key,
        })
    }

    /// The `TBSCertificate` in DER, to be signed by the algorithm of [`curve`](Self::curve).
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The curve of the CA's key, and by it the algorithm: ecdsa-with-SHA256 on P-256,
    /// ecdsa-with-SHA384 on P-384.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.issuer_key.curve()
    }

    /// The serial number, for the issuance ledger.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// Adds the signature, an `ECDSA-Sig-Value` in DER, in its low-s form whatever the signer gave.
    ///
    /// The signature is verified by the CA's key: whoever signs between the two steps may mix up
    /// keys, versions of a key, or the answers to two requests. Then the certificate is read back
    /// twice before anyone gets it: by an independent parser, field by field against what was meant,
    /// and by [`DeviceCertificate`] as a verifier will.
    ///
    /// # Errors
    ///
    /// [`Error::Signing`] when the bytes are no signature of [`tbs`](Self::tbs) by the CA's key,
    /// [`Error::Issued`] and [`Error::DeviceCertificate`] when the result is not what was meant.
    pub fn complete(self, signature: &[u8]) -> Result<IssuedCertificate, Error> {
        super::check_signature(&self.issuer_key, &self.tbs, signature)?;
        self.complete_by_own_signer(signature)
    }

    /// As [`complete`](Self::complete), for a signature that the CA's own signer just made over these
    /// bytes. It is not verified again: that costs three times the signing, and the signer proved
    /// that it holds the key when the CA was loaded.
    pub(super) fn complete_by_own_signer(
        self,
        signature: &[u8],
    ) -> Result<IssuedCertificate, Error> {
        let der = signed::assemble(self.issuer_key.curve(), &self.tbs, signature)?;
        recheck::compare(&der, &self)?;
        let facts = DeviceCertificate::from_der(&der)?;
        Ok(IssuedCertificate { der, facts })
    }
}

/// A device's certificate, signed and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    der: Vec<u8>,
    facts: DeviceCertificate,
}

impl IssuedCertificate {
    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM, which ends in a newline.
    #[must_use]
    pub fn pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// Whose certificate it is.
    #[must_use]
    pub fn identity(&self) -> &DeviceIdentity {
        self.facts.identity()
    }

    /// Its serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.facts.serial()
    }

    /// SHA-256 of its DER, for people.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.facts.fingerprint()
    }

    /// SHA-256 of what the CA signed, for decisions.
    #[must_use]
    pub const fn tbs_sha256(&self) -> TbsSha256 {
        self.facts.tbs_sha256()
    }

    /// SHA-256 of its public key.
    #[must_use]
    pub const fn spki_sha256(&self) -> SpkiSha256 {
        self.facts.spki_sha256()
    }

    /// The first second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> OffsetDateTime {
        self.facts.not_before()
    }

    /// The last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.facts.not_after()
    }
}

/// What goes into a `TBSCertificate`; names and extensions are encoded already.
pub(super) struct Fields<'a> {
    pub(super) serial: SerialNumber,
    /// The issuer's.
    pub(super) curve: Curve,
    pub(super) issuer: &'a [u8],
    pub(super) validity: Validity,
    pub(super) subject: &'a [u8],
    /// The `SubjectPublicKeyInfo`.
    pub(super) key: &'a [u8],
    pub(super) extensions: &'a [u8],
}

/// `TBSCertificate` (RFC 5280 §4.1).
pub(super) fn write_tbs(fields: &Fields<'_>) -> Vec<u8> {
    let validity = der::sequence(&[
        &write_time(fields.validity.not_before),
        &write_time(fields.validity.not_after),
    ]);
    der::sequence(&[
        &der::explicit(0, &der::tlv(tag::INTEGER, &[&[2]])), // v3
        &der::tlv(tag::INTEGER, &[minimal(fields.serial.as_bytes())]),
        &fields.curve.signature_algorithm(),
        fields.issuer,
        &validity,
        fields.subject,
        fields.key,
        &der::explicit(3, fields.extensions),
    ])
}

/// The contents octets of an INTEGER from those of any width whose highest bit is clear.
pub(super) fn minimal(mut octets: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = octets
        && rest.first().is_some_and(|next| next & 0x80 == 0)
    {
        octets = rest;
    }
    octets
}
