//! The second look at a certificate before anyone gets it: read by x509-parser, which shares no
//! code with the writer, and compared with what was meant.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Extension, X509Version};
use x509_parser::x509::AlgorithmIdentifier;

use crate::{Curve, DeviceIdentity, Error, oid};

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

/// Whether this is the signature algorithm of keys on `curve`, without parameters.
pub(super) fn is_signature_algorithm_of(curve: Curve, algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm.as_bytes() == curve.signature_oid().as_bytes()
        && algorithm.parameters.is_none()
}

fn difference(der: &[u8], meant: &UnsignedCertificate) -> Option<Difference> {
    let Ok((&[], certificate)) = X509Certificate::from_der(der) else {
        return Some(Difference::Encoding);
    };
    let validity = certificate.validity();
    let ecdsa = |algorithm: &_| is_signature_algorithm_of(meant.issuer_key.curve(), algorithm);
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
            !extension.critical && id.0 == crate::profile::key_identifier(meant.key.point())
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

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::ca::{signed, signer::CaSigner as _};
    use crate::{
        CA_VALIDITY, CsrPolicy, Curve, DeviceId, ECDSA_P256_SHA256, PlatformCa, SerialNumber,
        SoftwareSigner, TenantId, Terms, der,
    };

    /// A certificate and what was meant by it.
    fn issued() -> (Vec<u8>, UnsignedCertificate) {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let terms = Terms::new(datetime!(2026-11-22 12:00 UTC), CA_VALIDITY, Duration::ZERO);
        let signer = Box::new(SoftwareSigner::generate(&mut rng));
        let ca = PlatformCa::generate(signer, "CA", &terms, &mut rng).unwrap();
        let csr = include_str!("../../tests/data/device.csr.pem");
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_pem(csr).unwrap();
        let identity = DeviceIdentity::new(
            TenantId::new("acme").unwrap(),
            DeviceId::new("dev_789").unwrap(),
        );
        let meant = ca
            .certificate
            .prepare(&csr, &identity, &terms, &mut rng)
            .unwrap();
        (sign(&meant.tbs), meant)
    }

    fn sign(tbs: &[u8]) -> Vec<u8> {
        let signer = SoftwareSigner::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
        signed::assemble(Curve::P256, tbs, &signer.sign(tbs).unwrap()).unwrap()
    }

    /// Replaces the one occurrence of some bytes.
    fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let position = bytes.windows(from.len()).position(|window| window == from);
        let (before, rest) = bytes.split_at(position.unwrap());
        [before, to, &rest[from.len()..]].concat()
    }

    #[test]
    fn a_certificate_that_is_as_meant_has_no_difference() {
        let (der, meant) = issued();
        assert_eq!(difference(&der, &meant), None);
    }

    #[test]
    fn a_difference_from_what_was_meant_is_found_in_its_field() {
        type Change = fn(&mut UnsignedCertificate);
        let changes: [(Difference, Change); 7] = [
            (Difference::TbsCertificate, |meant| meant.tbs.push(0)),
            (Difference::SerialNumber, |meant| {
                meant.serial = SerialNumber::from_der_contents(&[1]).unwrap();
            }),
            (Difference::Issuer, |meant| {
                meant.issuer = der::sequence(&[]);
            }),
            (Difference::Validity, |meant| {
                meant.validity.not_after += Duration::SECOND;
            }),
            (Difference::Subject, |meant| {
                let tenant = meant.identity.tenant_id().clone();
                let other = DeviceId::new("dev_790").unwrap();
                meant.identity = DeviceIdentity::new(tenant, other);
            }),
            (Difference::Extensions, |meant| {
                let device = meant.identity.device_id().clone();
                let other = TenantId::new("other").unwrap();
                meant.identity = DeviceIdentity::new(other, device);
            }),
            (Difference::Extensions, |meant| {
                meant.authority_key_id.push(0);
            }),
        ];
        for (field, change) in changes {
            let (der, mut meant) = issued();
            change(&mut meant);
            assert_eq!(difference(&der, &meant), Some(field));
        }
    }

    #[test]
    fn a_wrong_form_is_found_though_it_was_signed() {
        let (der, meant) = issued();
        let v2 = replace(&meant.tbs, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 1]);
        let unique_id = {
            let id = &meant.authority_key_id;
            let extensions = crate::profile::write_extensions(&meant.identity, &meant.key, id);
            let extensions = der::explicit(3, &extensions);
            let with_id = [&[0x81, 2, 0, 1], &extensions[..]].concat();
            let tbs = replace(&meant.tbs, &extensions, &with_id);
            let (_, contents) = tbs.split_at(4);
            der::sequence(&[contents])
        };
        let other_key = {
            let (tbs, key) = (&meant.tbs, meant.key.as_bytes());
            let (last, rest) = key.split_last().unwrap();
            replace(tbs, key, &[rest, &[last ^ 1]].concat())
        };
        for (field, tbs) in [
            (Difference::Version, v2),
            (Difference::UniqueIdentifier, unique_id),
            (Difference::SubjectPublicKeyInfo, other_key),
        ] {
            let signed = sign(&tbs);
            let meant = UnsignedCertificate {
                tbs,
                ..meant.clone()
            };
            assert_eq!(difference(&signed, &meant), Some(field));
        }
        let outer = replace(&der, &meant.tbs, &[]);
        let sha384 = replace(&outer, &[4, 3, 2], &[4, 3, 3]);
        let (_, after_header) = sha384.split_at(4);
        let sha384 = der::sequence(&[&meant.tbs, after_header]);
        assert_eq!(
            difference(&sha384, &meant),
            Some(Difference::SignatureAlgorithm)
        );
        let longer = [&der[..], &[0]].concat();
        assert_eq!(difference(&longer, &meant), Some(Difference::Encoding));
    }
}
