//! The second look at a certificate before anyone gets it: read by x509-parser, which shares no
//! code with the writer, and compared with what was meant.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Extension, X509Version};

use crate::{DeviceIdentity, Error, oid};

use super::UnsignedCertificate;

/// The field in which a certificate differs from what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are RFC 5280's.
#[non_exhaustive]
pub enum Difference {
    Encoding,
    Version,
    SerialNumber,
    SignatureAlgorithm,
    Issuer,
    Validity,
    Subject,
    SubjectPublicKeyInfo,
    UniqueIdentifier,
    Extensions,
    TbsCertificate,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

pub(super) fn compare(der: &[u8], meant: &UnsignedCertificate) -> Result<(), Error> {
    match difference(der, meant) {
        None => Ok(()),
        Some(field) => Err(Error::Issued { field }),
    }
}

fn difference(der: &[u8], meant: &UnsignedCertificate) -> Option<Difference> {
    let Ok((&[], certificate)) = X509Certificate::from_der(der) else {
        return Some(Difference::Encoding);
    };
    let validity = certificate.validity();
    let ecdsa = |algorithm: &x509_parser::x509::AlgorithmIdentifier<'_>| {
        algorithm.algorithm.as_bytes() == oid::ECDSA_WITH_SHA256.as_bytes()
            && algorithm.parameters.is_none()
    };
    let fields = [
        (
            Difference::TbsCertificate,
            certificate.tbs_certificate.as_ref() == meant.tbs,
        ),
        (
            Difference::Version,
            certificate.version() == X509Version::V3,
        ),
        (
            Difference::SerialNumber,
            crate::SerialNumber::from_der_contents(certificate.raw_serial()) == Ok(meant.serial),
        ),
        (
            Difference::SignatureAlgorithm,
            ecdsa(&certificate.signature_algorithm) && ecdsa(&certificate.signature),
        ),
        (
            Difference::Issuer,
            certificate.issuer().as_raw() == meant.issuer,
        ),
        (
            Difference::Validity,
            validity.not_before.timestamp() == meant.validity.not_before.unix_timestamp()
                && validity.not_after.timestamp() == meant.validity.not_after.unix_timestamp(),
        ),
        (
            Difference::Subject,
            names_device(&certificate, &meant.identity),
        ),
        (
            Difference::SubjectPublicKeyInfo,
            certificate.public_key().raw == meant.key.as_bytes(),
        ),
        (
            Difference::UniqueIdentifier,
            certificate.issuer_uid.is_none() && certificate.subject_uid.is_none(),
        ),
        (
            Difference::Extensions,
            certificate.extensions_map().is_ok_and(|extensions| {
                extensions.len() == 6
                    && extensions
                        .values()
                        .all(|extension| is_meant(extension, meant))
            }),
        ),
    ];
    fields
        .into_iter()
        .find_map(|(field, same)| (!same).then_some(field))
}

fn names_device(certificate: &X509Certificate<'_>, identity: &DeviceIdentity) -> bool {
    let mut attributes = certificate.subject().iter_attributes();
    let only = (attributes.next(), attributes.next());
    matches!(only, (Some(name), None)
        if name.attr_type().as_bytes() == oid::COMMON_NAME.as_bytes()
            && name.as_str() == Ok(identity.device_id().as_str()))
}

/// The map has no duplicates, so six extensions that are each meant are the six.
fn is_meant(extension: &X509Extension<'_>, meant: &UnsignedCertificate) -> bool {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) => {
            extension.critical && !constraints.ca && constraints.path_len_constraint.is_none()
        }
        ParsedExtension::KeyUsage(usage) => extension.critical && usage.flags == 1,
        ParsedExtension::ExtendedKeyUsage(usage) => {
            !extension.critical
                && usage.client_auth
                && !(usage.any
                    || usage.server_auth
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing)
                && usage.other.is_empty()
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            !extension.critical
                && names.general_names == [GeneralName::URI(&meant.identity.san_uri())]
        }
        ParsedExtension::SubjectKeyIdentifier(id) => {
            !extension.critical && id.0 == crate::profile::key_identifier(&meant.key)
        }
        ParsedExtension::AuthorityKeyIdentifier(authority) => {
            !extension.critical
                && authority.key_identifier.as_ref().map(|id| id.0)
                    == Some(meant.authority_key_id.as_slice())
                && authority.authority_cert_issuer.is_none()
                && authority.authority_cert_serial.is_none()
        }
        _ => false,
    }
}
