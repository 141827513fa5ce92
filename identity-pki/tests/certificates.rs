//! What makes a certificate a device's or a CA's: every rule has a case that breaks it alone.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeSet;

use identity_pki::{
    CaCertificate, CaRule, CertificateRule, DerRule, DeviceCertificate, Error, ExtensionRule,
    KeyRule, MAX_DEVICE_CERTIFICATE_LEN, PemRule, ProfileRule,
};
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME,
    SUBJECT_KEY_IDENTIFIER, TRUE, client_auth, common_name, ecdsa_with_sha384, extension, integer,
    octets, oid, p256_algorithm, p384_algorithm, san_uri, seq, tlv,
};
use support::leaf::{Leaf, validity};

const NAME_CONSTRAINTS: &str = "2.5.29.30";
const UNKNOWN: &str = "1.3.6.1.4.1.99999.1";

fn device_rule(der: &[u8]) -> &'static str {
    match DeviceCertificate::from_der(der) {
        Err(Error::DeviceCertificate(rule)) => rule.code(),
        other => panic!("{other:?}"),
    }
}

fn ca_rule(der: &[u8]) -> &'static str {
    match CaCertificate::from_der(der) {
        Err(Error::CaCertificate(rule)) => rule.code(),
        other => panic!("{other:?}"),
    }
}

/// Rules of the outer form, which both kinds of certificate share.
fn outer(good: fn() -> Leaf) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: fn(&mut Leaf)| good().with(change).der();
    let lasting = |start: &[u8], end_tag, end: &[u8]| {
        let validity = validity(0x17, start, end_tag, end);
        good().with(|leaf| leaf.validity = validity).der()
    };
    let start = b"261122115500Z";
    vec![
        ("too_large", vec![0x30; 9000]),
        ("der_truncated", Vec::new()),
        ("der_trailing_data", [good().der(), vec![0]].concat()),
        (
            "version",
            with(|leaf| leaf.version = tlv(0xa0, &[&integer(&[1])])),
        ),
        ("version", with(|leaf| leaf.version = Vec::new())),
        ("serial_number", with(|leaf| leaf.serial = integer(&[0x80]))),
        ("serial_number", with(|leaf| leaf.serial = integer(&[0]))),
        (
            "serial_number",
            with(|leaf| leaf.serial = integer(&[1; 21])),
        ),
        (
            "signature_algorithms_differ",
            with(|leaf| leaf.inner_algorithm = ecdsa_with_sha384()),
        ),
        (
            "signature_algorithms_differ",
            with(|leaf| leaf.outer_algorithm = ecdsa_with_sha384()),
        ),
        (
            "signature_algorithms_differ",
            with(|leaf| leaf.outer_algorithm = seq(&[&oid("1.2.840.10045.4.3.2"), &[5, 0]])),
        ),
        ("time", lasting(start, 0x17, b"270220120000")),
        ("time", lasting(start, 0x17, b"271320120000Z")),
        ("time", lasting(start, 0x17, b"270230120000Z")),
        ("time", lasting(start, 0x17, b"270220120000+0100")),
        ("time", lasting(start, 0x17, b"2702201200Z")),
        ("time", lasting(start, 0x18, b"20270220120000Z")),
        ("time", lasting(start, 0x18, b"20510220120000.5Z")),
        ("der_unexpected_tag", lasting(start, 0x0c, b"270220120000Z")),
        ("no_extensions", with(|leaf| leaf.extensions.clear())),
        (
            "extension_duplicate",
            with(|leaf| leaf.extensions.push(leaf.extensions[0].clone())),
        ),
        (
            "key_curve",
            with(|leaf| {
                leaf.spki = seq(&[
                    &seq(&[&oid("1.2.840.10045.2.1"), &oid("1.3.132.0.35")]),
                    &support::der::bits(&[4; 133]),
                ]);
            }),
        ),
        (
            "key_not_on_curve",
            with(|leaf| leaf.spki = seq(&[&p256_algorithm(), &support::der::bits(&[4; 65])])),
        ),
    ]
}

fn device_cases() -> Vec<(&'static str, Vec<u8>)> {
    let with = |position, kind: &str, critical, value: &[u8]| {
        let extension = extension(kind, critical, value);
        Leaf::device().with_extension(position, extension).der()
    };
    let san = |value: &[u8]| with(3, SUBJECT_ALT_NAME, false, value);
    let ours = "urn:link:tenant:acme:device:dev_789";
    let uri = tlv(0x86, &[ours.as_bytes()]);
    let two_attributes = seq(&[
        &tlv(0x31, &[&support::der::attribute_value("2.5.4.10", "x")]),
        &tlv(
            0x31,
            &[&support::der::attribute_value("2.5.4.3", "dev_789")],
        ),
    ]);
    let ia5 = tlv(0x16, &[b"dev_789".as_slice()]);
    let other_type = seq(&[&tlv(0x31, &[&seq(&[&oid("2.5.4.3"), &ia5])])]);
    let signed_by = |algorithm: Vec<u8>| {
        let change = |leaf: &mut Leaf| {
            leaf.inner_algorithm.clone_from(&algorithm);
            leaf.outer_algorithm = algorithm;
        };
        Leaf::device().with(change).der()
    };
    let mut cases = outer(Leaf::device);
    cases.extend([
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.113549.1.1.11"), &[5, 0]])),
        ),
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.10045.4.3.4")])),
        ),
        (
            "der_trailing_data",
            signed_by(seq(&[&oid("1.2.840.10045.4.3.2"), &[5, 0]])),
        ),
        ("too_large", vec![0x30; MAX_DEVICE_CERTIFICATE_LEN + 1]),
        (
            "high_s",
            Leaf::device().with(|leaf| leaf.high_s = true).der(),
        ),
        (
            "basic_constraints",
            Leaf::device().without_extension(0).der(),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, false, &seq(&[])),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&TRUE])),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&integer(&[0])])),
        ),
        ("key_usage", Leaf::device().without_extension(1).der()),
        ("key_usage", with(1, KEY_USAGE, false, &DIGITAL_SIGNATURE)),
        (
            "key_usage",
            with(1, KEY_USAGE, true, &[0x03, 0x02, 0x02, 0x84]),
        ),
        ("ext_key_usage", Leaf::device().without_extension(2).der()),
        ("ext_key_usage", with(2, EXT_KEY_USAGE, false, &seq(&[]))),
        (
            "ext_key_usage",
            with(2, EXT_KEY_USAGE, false, &seq(&[&oid("2.5.29.37.0")])),
        ),
        (
            "ext_key_usage",
            with(
                2,
                EXT_KEY_USAGE,
                false,
                &seq(&[&oid("1.3.6.1.5.5.7.3.2"), &oid("1.3.6.1.5.5.7.3.1")]),
            ),
        ),
        (
            "subject_alt_name",
            Leaf::device().without_extension(3).der(),
        ),
        ("subject_alt_name", san(&seq(&[]))),
        ("subject_alt_name", san(&seq(&[&uri, &uri]))),
        (
            "subject_alt_name",
            san(&seq(&[&uri, &tlv(0x82, &[b"host".as_slice()])])),
        ),
        (
            "subject_alt_name",
            san(&seq(&[&tlv(0x82, &[ours.as_bytes()])])),
        ),
        (
            "identity",
            san(&san_uri("urn:link:tenant:ACME:device:dev_789")),
        ),
        (
            "identity",
            san(&san_uri("URN:link:tenant:acme:device:dev_789")),
        ),
        (
            "identity",
            san(&san_uri("urn:link:tenant:acme:device:dev%5f789")),
        ),
        (
            "identity",
            san(&san_uri("urn:link:tenant:acme:device:dev_789:device:x")),
        ),
        (
            "identity",
            san(&san_uri("urn:link:tenant:acme:device:dev_789\0")),
        ),
        ("identity", san(&seq(&[&tlv(0x86, &[&[0xff; 8]])]))),
        (
            "subject",
            Leaf::device()
                .with(|leaf| leaf.subject = common_name("dev_790"))
                .der(),
        ),
        (
            "subject",
            Leaf::device().with(|leaf| leaf.subject = seq(&[])).der(),
        ),
        (
            "subject",
            Leaf::device()
                .with(|leaf| leaf.subject = two_attributes)
                .der(),
        ),
        (
            "subject",
            Leaf::device().with(|leaf| leaf.subject = other_type).der(),
        ),
        ("critical_extension", with(9, UNKNOWN, true, &[5, 0])),
        (
            "critical_extension",
            with(9, SUBJECT_KEY_IDENTIFIER, true, &octets(&[1; 20])),
        ),
        ("unknown_extension", with(9, UNKNOWN, false, &[5, 0])),
    ]);
    cases
}

/// The point whose private key everybody knows: it is one.
fn p384_generator() -> Vec<u8> {
    let mut one = [0; 48];
    one[47] = 1;
    let key = p384::ecdsa::SigningKey::from_slice(&one).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    point.as_bytes().to_vec()
}

fn ca_cases() -> Vec<(&'static str, Vec<u8>)> {
    let with = |position, kind: &str, critical, value: &[u8]| {
        let extension = extension(kind, critical, value);
        Leaf::ca().with_extension(position, extension).der()
    };
    let p384 = |point: &[u8]| {
        let spki = seq(&[&p384_algorithm(), &support::der::bits(point)]);
        Leaf::ca().with(|leaf| leaf.spki = spki).der()
    };
    let mut cases = outer(Leaf::ca);
    cases.extend([
        ("key_not_on_curve", p384(&[4; 97])),
        ("key_compressed_point", p384(&[2; 49])),
        ("key_hybrid_point", p384(&[6; 97])),
        ("key_point_encoding", p384(&[4; 65])),
        ("key_generator", p384(&p384_generator())),
        (
            "empty_subject",
            Leaf::ca().with(|leaf| leaf.subject = seq(&[])).der(),
        ),
        ("not_ca", Leaf::ca().without_extension(0).der()),
        ("not_ca", with(0, BASIC_CONSTRAINTS, true, &seq(&[]))),
        ("not_ca", with(0, BASIC_CONSTRAINTS, false, &seq(&[&TRUE]))),
        ("key_usage", Leaf::ca().without_extension(1).der()),
        ("key_usage", with(1, KEY_USAGE, true, &DIGITAL_SIGNATURE)),
        (
            "ext_key_usage",
            with(9, EXT_KEY_USAGE, false, &seq(&[&oid("1.3.6.1.5.5.7.3.1")])),
        ),
        (
            "subject_key_identifier",
            Leaf::ca().without_extension(2).der(),
        ),
        (
            "subject_key_identifier",
            with(2, SUBJECT_KEY_IDENTIFIER, false, &octets(&[])),
        ),
        (
            "name_constraints",
            with(9, NAME_CONSTRAINTS, true, &seq(&[])),
        ),
        (
            "name_constraints",
            with(9, NAME_CONSTRAINTS, false, &seq(&[])),
        ),
        ("critical_extension", with(9, UNKNOWN, true, &[5, 0])),
        (
            "critical_extension",
            with(2, SUBJECT_KEY_IDENTIFIER, true, &octets(&[7; 20])),
        ),
        (
            "path_length",
            with(
                0,
                BASIC_CONSTRAINTS,
                true,
                &seq(&[&TRUE, &integer(&[0xff])]),
            ),
        ),
    ]);
    cases
}

/// The codes that are an enum's own, without those of the reasons that it wraps and that the
/// request's cases cover.
fn own<'a>(codes: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let nested: BTreeSet<&str> = DerRule::codes()
        .chain(KeyRule::codes())
        .chain(PemRule::codes())
        .chain(ExtensionRule::codes())
        .collect();
    codes.filter(|code| !nested.contains(code)).collect()
}

fn covered<'a>(cases: &[(&'a str, Vec<u8>)]) -> BTreeSet<&'a str> {
    own(cases.iter().map(|(code, _)| *code))
}

#[test]
fn each_device_certificate_is_refused_for_its_rule() {
    for (code, der) in device_cases() {
        assert_eq!(device_rule(&der), code);
    }
    assert_eq!(covered(&device_cases()), own(ProfileRule::codes()));
    assert!(own(CertificateRule::codes()).is_subset(&own(ProfileRule::codes())));
}

#[test]
fn each_ca_certificate_is_refused_for_its_rule() {
    for (code, der) in ca_cases() {
        assert_eq!(ca_rule(&der), code);
    }
    // How it was signed is asked of a CA that is imported alone.
    let mut rules = own(CaRule::codes());
    for of_imports in [
        "signature_algorithm",
        "self_signature_algorithm",
        "self_signature",
    ] {
        assert!(rules.remove(of_imports));
    }
    assert_eq!(covered(&ca_cases()), rules);
}

#[test]
fn the_certificates_that_the_cases_start_from_are_good() {
    let device = DeviceCertificate::from_der(&Leaf::device().der()).unwrap();
    assert_eq!(device.identity(), &support::identity());
    assert!(CaCertificate::from_der(&Leaf::ca().der()).is_ok());
    let purpose = extension(EXT_KEY_USAGE, true, &client_auth());
    assert!(CaCertificate::from_der(&Leaf::ca().with_extension(9, purpose).der()).is_ok());
    let identifier = extension(SUBJECT_KEY_IDENTIFIER, false, &octets(&[1; 20]));
    assert!(
        DeviceCertificate::from_der(&Leaf::device().with_extension(9, identifier).der()).is_ok()
    );
}

#[test]
fn years_after_2049_are_generalized_times() {
    let lasting = validity(0x17, b"491231235959Z", 0x18, b"20500101000000Z");
    let leaf = Leaf::device().with(|leaf| leaf.validity = lasting);
    let device = DeviceCertificate::from_der(&leaf.der()).unwrap();
    assert_eq!(
        device.not_after() - device.not_before(),
        time::Duration::SECOND
    );
    let old = validity(0x17, b"500101000000Z", 0x17, b"491231235959Z");
    let leaf = Leaf::device().with(|leaf| leaf.validity = old);
    let device = DeviceCertificate::from_der(&leaf.der()).unwrap();
    assert_eq!(
        (device.not_before().year(), device.not_after().year()),
        (1950, 2049)
    );
}
