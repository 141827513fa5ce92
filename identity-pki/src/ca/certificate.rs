use time::OffsetDateTime;

use crate::certificate::{Certificate, CertificateRule};
use crate::der::{DerError, Element, tag};
use crate::extension::{self, Extension, KeyUsage};
use crate::key::{CaKey, KeyError, KeyRule};
use crate::pem::{self, PemRule};
use crate::{Curve, Error, Fingerprint, SerialNumber, SpkiSha256, oid};

use super::issue::Validity;

/// The longest CA certificate, in bytes of DER.
pub const MAX_CA_CERTIFICATE_LEN: usize = 8192;

const LABEL: &str = "CERTIFICATE";

/// The rule that a CA's certificate breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaRule {
    /// The textual encoding.
    #[error(transparent)]
    Pem(#[from] PemRule),
    /// The certificate's form.
    #[error(transparent)]
    Certificate(#[from] CertificateRule),
    /// The public key.
    #[error(transparent)]
    Key(#[from] KeyRule),
    /// An empty subject, which device certificates could not name as their issuer.
    #[error("the subject is empty (RFC 5280 §4.1.2.6)")]
    EmptySubject,
    /// Not a CA.
    #[error("BasicConstraints is not CA:true and critical (RFC 5280 §4.2.1.9)")]
    NotCa,
    /// A path length below zero, by which OpenSSL takes the whole certificate for invalid.
    #[error("the path length of BasicConstraints is negative (RFC 5280 §4.2.1.9)")]
    PathLength,
    /// A key that may not sign certificates.
    #[error("KeyUsage is not there or lacks keyCertSign (RFC 5280 §4.2.1.3)")]
    KeyUsage,
    /// A CA for other purposes.
    #[error("ExtKeyUsage lacks clientAuth, so no device certificate would be accepted")]
    ExtKeyUsage,
    /// No key identifier to point at.
    #[error("the subject key identifier is missing (RFC 5280 §4.2.1.2)")]
    SubjectKeyIdentifier,
    /// Constraints on names of the kinds that device certificates have, a URI and a directory name,
    /// or on kinds that verifiers disagree about. rustls-webpki refuses every URI under any
    /// constraint on URIs, so that the whole fleet would be locked out. Constraints on hosts, IP and
    /// mail addresses are harmless, and pass.
    #[error(
        "the name constraints are not on hosts, IP and mail addresses alone, so the devices' names \
         may be refused (RFC 5280 §4.2.1.10)"
    )]
    NameConstraints,
    /// A certificate in its own name whose signature cannot be verified here.
    #[error(
        "it names itself as its issuer, but its signature algorithm is {found}, not \
         ecdsa-with-SHA256, ecdsa-with-SHA384 or ecdsa-with-SHA512 (RFC 5758 §3.2)"
    )]
    SelfSignatureAlgorithm {
        /// The algorithm's object identifier.
        found: String,
    },
    /// A certificate in its own name that another key signed, or that was changed since.
    #[error("it names itself as its issuer, but its own key did not sign it (RFC 5280 §3.2)")]
    SelfSignature,
    /// A critical extension that verifiers will not know.
    #[error("extension {oid} is critical and not supported (RFC 5280 §4.2)")]
    CriticalExtension {
        /// Its object identifier.
        oid: String,
    },
}

codes! {
    CaRule {
        Self::EmptySubject => "empty_subject",
        Self::NotCa => "not_ca",
        Self::PathLength => "path_length",
        Self::KeyUsage => "key_usage",
        Self::ExtKeyUsage => "ext_key_usage",
        Self::SubjectKeyIdentifier => "subject_key_identifier",
        Self::NameConstraints => "name_constraints",
        Self::SelfSignatureAlgorithm { .. } => "self_signature_algorithm",
        Self::SelfSignature => "self_signature",
        Self::CriticalExtension { .. } => "critical_extension",
    }
    nested {
        Pem(PemRule),
        Certificate(CertificateRule),
        Key(KeyRule),
    }
}

impl From<DerError> for CaRule {
    fn from(error: DerError) -> Self {
        Self::Certificate(error.into())
    }
}

impl From<KeyError> for CaRule {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Der(error) => error.into(),
            KeyError::Rule(rule) => Self::Key(rule),
        }
    }
}

/// A certificate that can be a platform CA's: CA:true, keyCertSign, a key on P-256 or P-384, and
/// nothing in it that would make verifiers refuse what it issues.
///
/// Its bytes are kept as they came, and its subject enters device certificates byte for byte. Who
/// signed it and how is not asked: it is a trust anchor (RFC 5280 §6.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: Vec<u8>,
    subject_der: Vec<u8>,
    subject: String,
    key: CaKey,
    key_id: Vec<u8>,
    can_sign_crls: bool,
    serial: SerialNumber,
    validity: Validity,
}

impl CaCertificate {
    /// Reads one `CERTIFICATE` block and nothing around it but white space.
    ///
    /// # Errors
    ///
    /// [`Error::CaCertificate`] with the first [`CaRule`] that it breaks.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let der = pem::decode(LABEL, text, 2 * MAX_CA_CERTIFICATE_LEN).map_err(CaRule::from)?;
        Self::from_der(&der)
    }

    /// Reads a certificate of at most [`MAX_CA_CERTIFICATE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`Error::CaCertificate`] with the first [`CaRule`] that it breaks.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        Ok(parse(der)?)
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM, which ends in a newline.
    #[must_use]
    pub fn pem(&self) -> String {
        pem::encode(LABEL, &self.der)
    }

    /// The subject as text, for people.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The subject's `Name` in DER.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// SHA-256 of the public key.
    #[must_use]
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.key.sha256()
    }

    /// The curve of the public key, which settles how the CA signs.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.key.curve()
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_certificate(&self.der)
    }

    /// The serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// The subject key identifier, which device certificates name as their authority's.
    #[must_use]
    pub fn subject_key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// The first second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> OffsetDateTime {
        self.validity.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.validity.not_after
    }

    /// Whether `now` is within its validity (RFC 5280 §4.1.2.5: both ends included).
    #[must_use]
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        (self.not_before()..=self.not_after()).contains(&now)
    }

    /// Whether its `KeyUsage` has cRLSign (RFC 5280 §4.2.1.3), as that of a CA made here. One that was
    /// made elsewhere may lack it, and issues certificates all the same.
    #[must_use]
    pub const fn can_sign_crls(&self) -> bool {
        self.can_sign_crls
    }

    pub(super) fn check_valid_at(&self, now: OffsetDateTime) -> Result<(), Error> {
        if self.is_valid_at(now) {
            return Ok(());
        }
        Err(Error::CaNotValid {
            now,
            not_before: self.not_before(),
            not_after: self.not_after(),
        })
    }

    pub(super) const fn key(&self) -> &CaKey {
        &self.key
    }
}

fn parse(der: &[u8]) -> Result<CaCertificate, CaRule> {
    let certificate = Certificate::parse(der, MAX_CA_CERTIFICATE_LEN)?;
    if certificate.subject.contents.is_empty() {
        return Err(CaRule::EmptySubject);
    }
    let (key_id, usage) = check_extensions(&certificate.extensions)?;
    let key = CaKey::parse(&certificate.spki)?;
    Ok(CaCertificate {
        der: der.to_vec(),
        subject_der: certificate.subject.raw.to_vec(),
        subject: subject_text(&certificate.subject)?,
        key,
        key_id: key_id.to_vec(),
        can_sign_crls: usage.can_sign_crls(),
        serial: certificate.serial,
        validity: Validity {
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        },
    })
}

/// Judges the extensions and answers the key identifier and what the key may be used for.
fn check_extensions<'a>(extensions: &[Extension<'a>]) -> Result<(&'a [u8], KeyUsage), CaRule> {
    let (mut is_ca, mut usage, mut for_clients, mut key_id) = (false, None, true, None);
    for extension in extensions {
        let value = extension.value;
        match extension.oid {
            oid::BASIC_CONSTRAINTS => {
                let constraints = extension::basic_constraints(value)?;
                if constraints.has_negative_path_len {
                    return Err(CaRule::PathLength);
                }
                is_ca = extension.critical && constraints.ca;
            }
            oid::KEY_USAGE => usage = Some(KeyUsage::parse(value)?),
            oid::EXT_KEY_USAGE => {
                for_clients = extension::ext_key_usage(value)?.contains(&oid::CLIENT_AUTH);
            }
            oid::NAME_CONSTRAINTS => check_name_constraints(value)?,
            oid::SUBJECT_KEY_IDENTIFIER if !extension.critical => {
                key_id = Some(value.expect(tag::OCTET_STRING)?.contents);
            }
            unknown if extension.critical => {
                return Err(CaRule::CriticalExtension {
                    oid: unknown.to_string(),
                });
            }
            _ => {}
        }
    }
    if !is_ca {
        return Err(CaRule::NotCa);
    }
    let usage = usage
        .filter(|usage| usage.can_sign_certificates())
        .ok_or(CaRule::KeyUsage)?;
    if !for_clients {
        return Err(CaRule::ExtKeyUsage);
    }
    match key_id {
        Some(key_id) if (1..=64).contains(&key_id.len()) => Ok((key_id, usage)),
        _ => Err(CaRule::SubjectKeyIdentifier),
    }
}

/// Constraints on names that no device certificate has let all of them pass.
fn check_name_constraints(value: Element<'_>) -> Result<(), CaRule> {
    let harmless = extension::constrains_hosts_only(value)?;
    harmless.then_some(()).ok_or(CaRule::NameConstraints)
}

/// `CN=…, serialNumber=…`: for people, in the order of the certificate, without escapes.
fn subject_text(name: &Element<'_>) -> Result<String, DerError> {
    let mut text = String::new();
    let mut rdns = name.reader();
    while !rdns.is_empty() {
        let mut rdn = rdns.element(tag::SET)?.reader();
        loop {
            let mut attribute = rdn.element(tag::SEQUENCE)?.reader();
            let kind = attribute
                .element(tag::OBJECT_IDENTIFIER)?
                .object_identifier()?;
            let value = attribute.any()?;
            attribute.finish()?;
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&format!("{}={}", attribute_name(kind), value.text()));
            if rdn.is_empty() {
                break;
            }
        }
    }
    Ok(text)
}

/// The short names of RFC 4519.
fn attribute_name(kind: const_oid::ObjectIdentifier) -> String {
    let name = match kind {
        oid::COMMON_NAME => "CN",
        oid::SERIAL_NUMBER => "serialNumber",
        oid::COUNTRY => "C",
        oid::ORGANIZATION => "O",
        oid::ORGANIZATIONAL_UNIT => "OU",
        other => return other.to_string(),
    };
    name.to_owned()
}
