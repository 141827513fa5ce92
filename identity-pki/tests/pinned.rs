//! What the parsers and p256 let through, or limit, today. This crate guards against the first and
//! relies on the second; an upgrade that changes either is to be seen.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{CsrPolicy, DeviceCertificate, ECDSA_P256_SHA256};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, KEY_USAGE, TRUE, extension, integer, oid, seq, tlv,
};
use support::leaf::{Leaf, other_s};
use support::request::Request;
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::der::Decode as _;
use x509_cert::request::CertReq;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;

fn refused(der: &[u8]) {
    assert!(CsrPolicy::new(ECDSA_P256_SHA256).check_der(der).is_err());
}

/// The request of `honest` with the outermost length in one octet more than it needs.
fn non_minimal(honest: &[u8]) -> Vec<u8> {
    assert_eq!(honest[1], 0x81);
    [&[0x30, 0x82, 0, honest[2]], &honest[3..]].concat()
}

/// A first list of extensions that is harmless, and a second that asks to be a CA.
fn two_extension_requests() -> Vec<u8> {
    let harmless = seq(&[&extension(KEY_USAGE, true, &DIGITAL_SIGNATURE)]);
    let greedy = seq(&[&extension(BASIC_CONSTRAINTS, true, &seq(&[&TRUE]))]);
    let request = "1.2.840.113549.1.9.14";
    let request = Request::new()
        .with_attribute(request, &[&harmless])
        .with_attribute(request, &[&greedy]);
    request.der()
}

/// Why the gate has a reader of its own, and why the re-reading of what we issue looks at the rest.
#[test]
fn x509_parser_is_lax_about_the_outer_form() {
    let honest = Request::new().der();
    let trailing = [&honest[..], &[0]].concat();
    let version = Request::new().with(|r| r.version = integer(&[2])).der();
    for (name, der) in [
        ("trailing octets", trailing),
        ("version 3", version),
        ("a length that is not minimal", non_minimal(&honest)),
    ] {
        assert!(X509CertificationRequest::from_der(&der).is_ok(), "{name}");
        refused(&der);
    }
}

/// Why the gate walks the attributes itself: a second list of extensions is not shown.
#[test]
fn x509_parser_shows_the_first_extension_request_alone() {
    let der = two_extension_requests();
    let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
    let shown: Vec<_> = request.requested_extensions().unwrap().collect();
    assert!(
        matches!(*shown, [ParsedExtension::KeyUsage(_)]),
        "{shown:?}"
    );
    refused(&der);
}

/// Why parsing by x509-cert, strict as its DER is, would not be enough.
#[test]
fn x509_cert_judges_neither_attributes_nor_keys() {
    let generator = hex::decode(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    );
    let explicit = seq(&[&oid("1.2.840.10045.2.1"), &seq(&[&integer(&[1])])]);
    for (name, der) in [
        ("two lists of extensions", two_extension_requests()),
        (
            "an explicit curve",
            Request::new().with_spki(&explicit, &[4; 65]).der(),
        ),
        (
            "the generator",
            Request::new()
                .with_spki(&support::der::p256_algorithm(), &generator.unwrap())
                .der(),
        ),
    ] {
        assert!(CertReq::from_der(&der).is_ok(), "{name}");
        refused(&der);
    }
}

/// What makes x509-cert an oracle for the outer form: it is as strict there as the gate.
#[test]
fn x509_cert_is_strict_about_the_outer_form() {
    let honest = Request::new().der();
    assert!(CertReq::from_der(&honest).is_ok());
    assert!(CertReq::from_der(&non_minimal(&honest)).is_err());
    assert!(CertReq::from_der(&[&honest[..], &[0]].concat()).is_err());
    let version = Request::new().with(|r| r.version = integer(&[2]));
    assert!(CertReq::from_der(&version.der()).is_err());
}

/// Why the key's form is looked at before p256 sees it, and s after.
#[test]
fn p256_takes_compressed_points_and_high_s() {
    let key = SigningKey::generate_from_rng(&mut support::rng());
    let compressed = key.verifying_key().to_sec1_point(true);
    assert!(VerifyingKey::from_sec1_bytes(compressed.as_bytes()).is_ok());

    let signature: Signature = key.sign(b"message");
    let twin = other_s(&signature);
    assert_ne!(twin, signature);
    assert!(key.verifying_key().verify(b"message", &twin).is_ok());
}

/// What the proof of possession relies on: no key off the curve, no signature out of range or in
/// other than DER.
#[test]
fn p256_refuses_points_off_the_curve_and_signatures_out_of_range() {
    let mut point = Request::new().point();
    point[64] ^= 1;
    assert!(VerifyingKey::from_sec1_bytes(&point).is_err());
    assert!(VerifyingKey::from_sec1_bytes(&[0]).is_err());

    let order = hex::decode("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let order = order.unwrap();
    let (one, padded) = (integer(&[1]), integer(&[0, 1]));
    for (r, s) in [
        (&one, &integer(&order)),
        (&integer(&order), &one),
        (&one, &integer(&[0])),
        (&integer(&[0]), &one),
        (&one, &padded),
        (&padded, &one),
        (&one, &integer(&[0xff])),
    ] {
        assert!(Signature::from_der(&seq(&[r, s])).is_err());
    }
    let long = [vec![0x30, 0x81, 6], one.clone(), one].concat();
    assert!(Signature::from_der(&long).is_err());
}

/// A limit that `DerRule::ObjectIdentifier` documents.
#[test]
fn const_oid_takes_39_octets() {
    use const_oid::ObjectIdentifier;

    assert!(ObjectIdentifier::from_bytes(&[0x2a; 39]).is_ok());
    assert!(ObjectIdentifier::from_bytes(&[0x2a; 40]).is_err());
}

fn webpki_verdict(
    leaf: &CertificateDer<'_>,
    ca: &CertificateDer<'_>,
    usage: KeyUsage,
) -> Result<(), webpki::Error> {
    let anchors = [webpki::anchor_from_trusted_cert(ca).unwrap()];
    let now = support::NOW.unix_timestamp().unsigned_abs();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let leaf = EndEntityCert::try_from(leaf)?;
    let path = leaf.verify_for_usage(&[ECDSA_P256_SHA256], &anchors, &[], now, usage, None, None);
    path.map(drop)
}

/// webpki as an oracle: what is issued is a client's and no server's, under this CA and no other.
#[test]
fn webpki_verifies_what_is_issued_for_clients_alone() {
    let (ca, other) = (support::ca(), support::ca());
    let issued = support::issue(&ca);
    let leaf = CertificateDer::from(issued.der());
    let der = |ca: &identity_pki::PlatformCa| CertificateDer::from(ca.certificate().der().to_vec());
    assert_eq!(
        webpki_verdict(&leaf, &der(&ca), KeyUsage::client_auth()),
        Ok(())
    );
    let for_servers = webpki_verdict(&leaf, &der(&ca), KeyUsage::server_auth());
    assert!(
        matches!(
            for_servers,
            Err(webpki::Error::RequiredEkuNotFoundContext(_))
        ),
        "{for_servers:?}"
    );
    let elsewhere = webpki_verdict(&leaf, &der(&other), KeyUsage::client_auth());
    assert_eq!(elsewhere, Err(webpki::Error::UnknownIssuer));

    let read = EndEntityCert::try_from(&leaf).unwrap();
    let names: Vec<&str> = read.valid_uri_names().collect();
    assert_eq!(names, [support::identity().san_uri()]);
    assert_eq!(read.valid_dns_names().count(), 0);
}

/// Why the profile reads names itself, and all of them: webpki skips what it does not know.
#[test]
fn webpki_skips_names_that_it_does_not_know() {
    let uri = tlv(0x86, &[b"urn:link:tenant:acme:device:dev_789"]);
    let other_name = tlv(0xa0, &[&oid("1.3.6.1.4.1.99999.1"), &tlv(0xa0, &[&[5, 0]])]);
    let names = extension("2.5.29.17", false, &seq(&[&other_name, &uri]));
    let der = Leaf::device().with_extension(3, names).der();
    assert!(DeviceCertificate::from_der(&der).is_err());
    let leaf = CertificateDer::from(der);
    let read = EndEntityCert::try_from(&leaf).unwrap();
    assert_eq!(read.valid_uri_names().count(), 1);
}
