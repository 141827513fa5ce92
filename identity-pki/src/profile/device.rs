use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::certificate::{Certificate, CertificateRule};
use crate::der::{self, DerError, Element, tag};
use crate::extension::{self, Extension, KeyUsage};
use crate::key::{KeyError, KeyRule, P256Spki};
use crate::{
    Curve, DeviceIdentity, Error, Fingerprint, SerialNumber, SpkiSha256, TbsSha256, ecdsa, oid,
};

/// The longest device certificate, in bytes of DER. Ours have about 600.
pub const MAX_DEVICE_CERTIFICATE_LEN: usize = 4096;

/// The rule of the device certificate's profile that a certificate breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileRule {
    /// The certificate's form.
    #[error(transparent)]
    Certificate(#[from] CertificateRule),
    /// The public key.
    #[error(transparent)]
    Key(#[from] KeyRule),
    /// A signature that is none over its algorithm's curve with the lower s.
    #[error("the signature is not one over {curve} with s at most n/2, as the CA writes it")]
    HighS {
        /// The curve that the signature algorithm implies.
        curve: Curve,
    },
    /// A basic constraint that is missing, not critical, or of a CA.
    #[error("BasicConstraints is not CA:false and critical (RFC 5280 §4.2.1.9)")]
    BasicConstraints,
    /// Another use of the key.
    #[error("KeyUsage is not digitalSignature alone and critical (RFC 5280 §4.2.1.3)")]
    KeyUsage,
    /// Another purpose of the key.
    #[error("ExtKeyUsage is not clientAuth alone (RFC 5280 §4.2.1.12)")]
    ExtKeyUsage,
    /// Not one URI.
    #[error("the subject alternative name is not one URI and nothing else (RFC 5280 §4.2.1.6)")]
    SubjectAltName,
    /// A URI that is no device identity.
    #[error("the subject alternative name is no device identity: {rule}")]
    Identity {
        /// The rule that the URI breaks.
        rule: crate::SanUriRule,
    },
    /// A subject that is not the device id.
    #[error("the subject is not CN={device_id} alone (§9.2.1 of the product's specification)")]
    Subject {
        /// The device id of the subject alternative name.
        device_id: crate::DeviceId,
    },
    /// A critical extension that is not in the profile.
    #[error("extension {oid} is critical and not in the profile (RFC 5280 §4.2)")]
    CriticalExtension {
        /// Its object identifier.
        oid: String,
    },
    /// An extension that the profile leaves out.
    #[error("extension {oid} is not in the profile (§9.2.1 of the product's specification)")]
    UnknownExtension {
        /// Its object identifier.
        oid: String,
    },
}

codes! {
    ProfileRule {
        Self::HighS { .. } => "high_s",
        Self::BasicConstraints => "basic_constraints",
        Self::KeyUsage => "key_usage",
        Self::ExtKeyUsage => "ext_key_usage",
        Self::SubjectAltName => "subject_alt_name",
        Self::Identity { .. } => "identity",
        Self::Subject { .. } => "subject",
        Self::CriticalExtension { .. } => "critical_extension",
        Self::UnknownExtension { .. } => "unknown_extension",
    }
    nested {
        Certificate(CertificateRule),
        Key(KeyRule),
    }
}

impl From<DerError> for ProfileRule {
    fn from(error: DerError) -> Self {
        Self::Certificate(error.into())
    }
}

impl From<KeyError> for ProfileRule {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Der(error) => error.into(),
            KeyError::Rule(rule) => Self::Key(rule),
        }
    }
}

/// A certificate that has the device profile of the product's specification, §9.2.1:
///
/// | field | value |
/// |---|---|
/// | key | ECDSA P-256 |
/// | signature | ecdsa-with-SHA256 under a P-256 CA, ecdsa-with-SHA384 under a P-384 CA; low s |
/// | subject | CN = the device id |
/// | `SubjectAltName` | one URI, `urn:link:tenant:{tenant_id}:device:{device_id}` |
/// | `KeyUsage` (critical) | digitalSignature |
/// | `ExtKeyUsage` | clientAuth |
/// | `BasicConstraints` (critical) | CA:false |
///
/// and key identifiers, which help path building. The profile says nothing about who issued the
/// certificate and when it is valid: a value of this type is a claim until a chain to a trusted CA
/// was verified, which is `identity-mtls`'s part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    identity: DeviceIdentity,
    serial: SerialNumber,
    fingerprint: Fingerprint,
    tbs_sha256: TbsSha256,
    spki_sha256: SpkiSha256,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    issuer_curve: Curve,
    authority_key_id: Option<Vec<u8>>,
}

impl DeviceCertificate {
    /// Reads a certificate of at most [`MAX_DEVICE_CERTIFICATE_LEN`] bytes and checks it against
    /// the profile.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceCertificate`] with the first [`ProfileRule`] that it breaks.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        Ok(Self::parse(der)?)
    }

    pub(crate) fn parse(der: &[u8]) -> Result<Self, ProfileRule> {
        let certificate = Certificate::parse(der, MAX_DEVICE_CERTIFICATE_LEN)?;
        let issuer_curve = certificate.signing_curve()?;
        let key = P256Spki::parse(&certificate.spki)?;
        if !ecdsa::is_low_s(issuer_curve, certificate.signature) {
            return Err(ProfileRule::HighS {
                curve: issuer_curve,
            });
        }
        let (identity, authority_key_id) = check_extensions(&certificate.extensions)?;
        if certificate.subject.raw != subject(&identity) {
            return Err(ProfileRule::Subject {
                device_id: identity.device_id().clone(),
            });
        }
        Ok(Self {
            identity,
            serial: certificate.serial,
            fingerprint: Fingerprint::of_certificate(der),
            tbs_sha256: TbsSha256::of_tbs(certificate.tbs),
            spki_sha256: key.sha256(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            issuer_curve,
            authority_key_id,
        })
    }

    /// Whose certificate it claims to be.
    #[must_use]
    pub fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }

    /// Its serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// SHA-256 of its DER, for people.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// SHA-256 of what the CA signed, for decisions.
    #[must_use]
    pub const fn tbs_sha256(&self) -> TbsSha256 {
        self.tbs_sha256
    }

    /// SHA-256 of its public key.
    #[must_use]
    pub const fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// The first second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The curve that its issuer's key has to be on, by the signature algorithm.
    ///
    /// Libraries for path validation also take ecdsa-with-SHA384 from a key on P-256, which no CA of
    /// ours signs by, and the low s that is required here is that of this curve: whoever verified
    /// the path compares it with [`CaCertificate::curve`](crate::CaCertificate::curve).
    #[must_use]
    pub const fn issuer_curve(&self) -> Curve {
        self.issuer_curve
    }

    /// The identifier of the key that it says signed it (RFC 5280 §4.2.1.1): which of several CAs with
    /// one name to try first. Ours always have it.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority_key_id.as_deref()
    }
}

/// The identity and the issuer's key identifier, of extensions that the profile allows.
fn check_extensions(
    extensions: &[Extension<'_>],
) -> Result<(DeviceIdentity, Option<Vec<u8>>), ProfileRule> {
    let (mut constrained, mut limited_use, mut limited_purpose) = (false, false, false);
    let (mut identity, mut authority_key_id) = (None, None);
    for extension in extensions {
        let (critical, value) = (extension.critical, extension.value);
        match extension.oid {
            oid::BASIC_CONSTRAINTS => {
                let constraints = extension::basic_constraints(value)?;
                constrained = critical && !constraints.ca && !constraints.has_path_len;
            }
            oid::KEY_USAGE => {
                limited_use = critical && KeyUsage::parse(value)? == KeyUsage::DIGITAL_SIGNATURE;
            }
            oid::EXT_KEY_USAGE => {
                limited_purpose = extension::ext_key_usage(value)? == [oid::CLIENT_AUTH];
            }
            oid::SUBJECT_ALT_NAME => identity = Some(read_identity(value)?),
            oid::SUBJECT_KEY_IDENTIFIER if !critical => {
                value.expect(tag::OCTET_STRING)?;
            }
            oid::AUTHORITY_KEY_IDENTIFIER if !critical => {
                let mut names = value.expect(tag::SEQUENCE)?.reader();
                let key_id = names.optional(tag::context(0))?;
                authority_key_id = key_id.map(|id| id.contents.to_vec());
            }
            unknown if critical => {
                return Err(ProfileRule::CriticalExtension {
                    oid: unknown.to_string(),
                });
            }
            unknown => {
                return Err(ProfileRule::UnknownExtension {
                    oid: unknown.to_string(),
                });
            }
        }
    }
    if !constrained {
        return Err(ProfileRule::BasicConstraints);
    }
    if !limited_use {
        return Err(ProfileRule::KeyUsage);
    }
    if !limited_purpose {
        return Err(ProfileRule::ExtKeyUsage);
    }
    let identity = identity.ok_or(ProfileRule::SubjectAltName)?;
    Ok((identity, authority_key_id))
}

fn read_identity(value: Element<'_>) -> Result<DeviceIdentity, ProfileRule> {
    let uri = extension::only_uri(value)?.map_err(|_| ProfileRule::SubjectAltName)?;
    let uri = std::str::from_utf8(uri).map_err(|_| ProfileRule::Identity {
        rule: crate::SanUriRule::Form,
    })?;
    crate::identity::parse(uri).map_err(|rule| ProfileRule::Identity { rule })
}

/// The subject of a device's certificate: `CN={device_id}` as a `UTF8String` (RFC 5280 §4.1.2.4).
pub(crate) fn subject(identity: &DeviceIdentity) -> Vec<u8> {
    let common_name = der::sequence(&[
        &der::object_identifier(oid::COMMON_NAME),
        &der::tlv(
            tag::UTF8_STRING,
            &[identity.device_id().as_str().as_bytes()],
        ),
    ]);
    der::sequence(&[&der::set(&common_name)])
}

/// The `Extensions` of a device's certificate. The subject alternative name is not critical, since
/// the subject is not empty (RFC 5280 §4.2.1.6).
pub(crate) fn write_extensions(
    identity: &DeviceIdentity,
    key: &P256Spki,
    authority_key_id: &[u8],
) -> Vec<u8> {
    let san = der::tlv(tag::context(6), &[identity.san_uri().as_bytes()]);
    let purpose = der::object_identifier(oid::CLIENT_AUTH);
    der::sequence(&[
        &extension::write(oid::BASIC_CONSTRAINTS, true, &der::sequence(&[])),
        &extension::write(oid::KEY_USAGE, true, &KeyUsage::DIGITAL_SIGNATURE.to_der()),
        &extension::write(oid::EXT_KEY_USAGE, false, &der::sequence(&[&purpose])),
        &extension::write(oid::SUBJECT_ALT_NAME, false, &der::sequence(&[&san])),
        &extension::write(
            oid::SUBJECT_KEY_IDENTIFIER,
            false,
            &der::octet_string(&key_identifier(key.point())),
        ),
        &extension::authority_key_identifier(authority_key_id),
    ])
}

/// The leftmost 160 bits of the SHA-256 of the public key, which is `point` (RFC 7093 §2, method 1).
pub(crate) fn key_identifier(point: &[u8]) -> [u8; 20] {
    let digest: [u8; 32] = Sha256::digest(point).into();
    let mut identifier = [0; 20];
    identifier
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    identifier
}
