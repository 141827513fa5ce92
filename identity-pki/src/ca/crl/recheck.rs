//! The second look at a CRL before anyone gets it: read by x509-parser, which shares no code with
//! the writer, and compared with what was meant.

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Extension};

use crate::ca::recheck::is_signature_algorithm_of;
use crate::{Error, SerialNumber};

use super::read::List;
use super::{Fields, RevokedCertificate, UnsignedCrl};

/// The version of a CRL with extensions, as it is encoded (RFC 5280 §5.1.2.1).
const V2: u32 = 1;

/// The field in which a CRL differs from what was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are RFC 5280's.
#[non_exhaustive]
pub enum CrlDifference {
    Encoding,
    TbsCertList,
    Version,
    SignatureAlgorithm,
    Issuer,
    ThisUpdate,
    NextUpdate,
    RevokedCertificates,
    Extensions,
}

impl std::fmt::Display for CrlDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

pub(super) fn compare(der: &[u8], meant: &UnsignedCrl) -> Result<(), Error> {
    match difference(der, meant) {
        None => Ok(()),
        Some(field) => Err(Error::IssuedCrl { field }),
    }
}

fn difference(der: &[u8], meant: &UnsignedCrl) -> Option<CrlDifference> {
    let Some(list) = List::read(der) else {
        return Some(CrlDifference::Encoding);
    };
    let (meant_tbs, meant) = (&meant.tbs, &meant.fields);
    let ecdsa = |algorithm: &_| is_signature_algorithm_of(meant.issuer_key.curve(), algorithm);
    let fields = [
        (CrlDifference::TbsCertList, list.tbs == meant_tbs),
        (CrlDifference::Version, list.version == V2),
        (
            CrlDifference::SignatureAlgorithm,
            list.algorithms.iter().all(ecdsa),
        ),
        (CrlDifference::Issuer, list.issuer.as_raw() == meant.issuer),
        (
            CrlDifference::ThisUpdate,
            list.this_update.timestamp() == meant.this_update.unix_timestamp(),
        ),
        (
            CrlDifference::NextUpdate,
            list.next_update.timestamp() == meant.next_update.unix_timestamp(),
        ),
        (
            CrlDifference::RevokedCertificates,
            // Without entries the list of them is absent (RFC 5280 §5.1.2.6).
            list.entries.is_none() == meant.entries.is_empty()
                && are_revoked(list.entries.unwrap_or_default(), &meant.entries),
        ),
        (
            CrlDifference::Extensions,
            are_meant(&list.extensions, meant),
        ),
    ];
    fields
        .into_iter()
        .find_map(|(field, same)| (!same).then_some(field))
}

/// Whether these entries, side by side, are those that were meant.
fn are_revoked(mut entries: &[u8], meant: &[RevokedCertificate]) -> bool {
    for meant in meant {
        match x509_parser::revocation_list::RevokedCertificate::from_der(entries) {
            Ok((rest, found)) if is_meant(&found, meant) => entries = rest,
            _ => return false,
        }
    }
    entries.is_empty()
}

fn is_meant(
    found: &x509_parser::revocation_list::RevokedCertificate<'_>,
    meant: &RevokedCertificate,
) -> bool {
    let reason = match found.extensions() {
        [] => Some(None),
        [extension] => match extension.parsed_extension() {
            ParsedExtension::ReasonCode(code) if !extension.critical => Some(Some(code.0)),
            _ => None,
        },
        _ => None,
    };
    SerialNumber::from_der_contents(found.raw_serial()) == Ok(meant.serial())
        && found.revocation_date.timestamp() == meant.revoked_at().unix_timestamp()
        && reason == Some(meant.reason().code())
}

fn are_meant(extensions: &[X509Extension<'_>], meant: &Fields) -> bool {
    let [authority, number] = extensions else {
        return false;
    };
    let ParsedExtension::AuthorityKeyIdentifier(authority_key) = authority.parsed_extension()
    else {
        return false;
    };
    let ParsedExtension::CRLNumber(found) = number.parsed_extension() else {
        return false;
    };
    let mut found = found.to_bytes_be();
    let padding = meant.number.as_bytes().len().saturating_sub(found.len());
    found.splice(..0, std::iter::repeat_n(0, padding));
    !authority.critical
        && authority_key.key_identifier.as_ref().map(|id| id.0) == Some(&meant.authority_key_id)
        && authority_key.authority_cert_issuer.is_none()
        && authority_key.authority_cert_serial.is_none()
        && !number.critical
        && found == meant.number.as_bytes()
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::ca::{signed, signer::CaSigner as _};
    use crate::{CrlNumber, Curve, PlatformCa, RevocationReason, SoftwareSigner, Terms, der};

    /// A CRL of two entries and what was meant by it.
    fn issued() -> (Vec<u8>, UnsignedCrl) {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let terms = Terms::new(
            datetime!(2026-11-22 12:00 UTC),
            Duration::DAY,
            Duration::ZERO,
        );
        let signer = Box::new(SoftwareSigner::generate(&mut rng));
        let ca = PlatformCa::generate(signer, "CA", &terms, &mut rng).unwrap();
        let entries = [1, 2].map(|number| entry(number, RevocationReason::Superseded));
        let meant = ca
            .certificate
            .prepare_crl(CrlNumber::from(7), &terms, entries)
            .unwrap();
        (sign(&meant.tbs), meant)
    }

    fn entry(number: u8, reason: RevocationReason) -> RevokedCertificate {
        let serial = SerialNumber::from_der_contents(&[number]).unwrap();
        RevokedCertificate::new(serial, datetime!(2026-11-20 0:00 UTC), reason).unwrap()
    }

    fn sign(tbs: &[u8]) -> Vec<u8> {
        let signer = SoftwareSigner::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
        signed::assemble(Curve::P256, tbs, &signer.sign(tbs).unwrap()).unwrap()
    }

    #[test]
    fn a_list_that_is_as_meant_has_no_difference() {
        let (der, meant) = issued();
        assert_eq!(difference(&der, &meant), None);
    }

    #[test]
    fn a_difference_from_what_was_meant_is_found_in_its_field() {
        type Change = fn(&mut UnsignedCrl);
        let changes: [(CrlDifference, Change); 10] = [
            (CrlDifference::TbsCertList, |meant| meant.tbs.push(0)),
            (CrlDifference::Issuer, |meant| {
                meant.fields.issuer = der::sequence(&[]);
            }),
            (CrlDifference::ThisUpdate, |meant| {
                meant.fields.this_update += Duration::SECOND;
            }),
            (CrlDifference::NextUpdate, |meant| {
                meant.fields.next_update += Duration::SECOND;
            }),
            (CrlDifference::RevokedCertificates, |meant| {
                meant.fields.entries.pop();
            }),
            (CrlDifference::RevokedCertificates, |meant| {
                meant.fields.entries[0] = entry(3, RevocationReason::Superseded);
            }),
            (CrlDifference::RevokedCertificates, |meant| {
                meant.fields.entries[1] = entry(2, RevocationReason::Unspecified);
            }),
            (CrlDifference::RevokedCertificates, |meant| {
                meant.fields.entries[1] = entry(2, RevocationReason::KeyCompromise);
            }),
            (CrlDifference::Extensions, |meant| {
                meant.fields.authority_key_id.push(0);
            }),
            (CrlDifference::Extensions, |meant| {
                meant.fields.number = CrlNumber::from(8);
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
        let fields = der::Reader::new(&meant.tbs).any().unwrap().contents;
        let changed = |fields: &[u8]| {
            let tbs = der::sequence(&[fields]);
            let signed = sign(&tbs);
            let meant = meant.clone();
            difference(&signed, &UnsignedCrl { tbs, ..meant })
        };
        assert_eq!(changed(fields), None);
        // The version is left out, which means v1, or is another.
        assert_eq!(changed(&fields[3..]), Some(CrlDifference::Encoding));
        let v3 = [&[2, 1, 2], &fields[3..]].concat();
        assert_eq!(changed(&v3), Some(CrlDifference::Version));
        // Another extension follows.
        let (rest, extensions) = fields.split_at(fields.len() - 49);
        let mut extensions = extensions.to_vec();
        extensions.extend_from_slice(&[0x30, 8, 6, 3, 0x55, 0x1d, 0x1b, 4, 1, 5]);
        extensions[1] += 10;
        extensions[3] += 10;
        let another = changed(&[rest, &extensions].concat());
        assert_eq!(another, Some(CrlDifference::Extensions));
        // Another algorithm outside than inside.
        let outer = der::Reader::new(&der).any().unwrap().contents.to_vec();
        let position = meant.tbs.len() + 11;
        assert_eq!(outer[position], 2, "the last arc of ecdsa-with-SHA256");
        let other = [&outer[..position], &[3], &outer[position + 1..]].concat();
        let other = der::sequence(&[&other]);
        let algorithm = difference(&other, &meant);
        assert_eq!(algorithm, Some(CrlDifference::SignatureAlgorithm));
        let longer = [&der[..], &[0]].concat();
        assert_eq!(difference(&longer, &meant), Some(CrlDifference::Encoding));
    }
}
