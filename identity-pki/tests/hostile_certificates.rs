//! What the authors of a collection of hostile client certificates would think of, beyond one case
//! for each rule of the profile: every algorithm, curve, extension and kind of name that there is a
//! number for, and the spellings of an honest certificate that other parsers take. `identity-mtls`
//! tests what concerns the chain and the time.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{DeviceCertificate, Error};
use support::der::{
    BASIC_CONSTRAINTS, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, TRUE, attribute_value, bits,
    common_name, extension, integer, octets, oid, p256_algorithm, san_uri, seq, tlv,
};
use support::leaf::{Leaf, validity};

type Case = (&'static str, Leaf);

fn with(position: usize, kind: &str, critical: bool, value: &[u8]) -> Leaf {
    Leaf::device().with_extension(position, extension(kind, critical, value))
}

fn keys() -> Vec<Case> {
    let point = bits(&support::request::Request::new().point());
    let spki = |algorithm: &[u8], key: &[u8]| {
        let spki = seq(&[algorithm, key]);
        Leaf::device().with(|leaf| leaf.spki = spki)
    };
    let ec = oid("1.2.840.10045.2.1");
    let named = |curve: &str| seq(&[&ec, &oid(curve)]);
    let mut cases = Vec::new();
    for kind in [
        "1.2.840.113549.1.1.1",
        "1.3.132.1.12",
        "1.3.101.112",
        "1.3.101.110",
    ] {
        cases.push(("key_algorithm", spki(&seq(&[&oid(kind)]), &point)));
    }
    for curve in [
        "1.3.132.0.34",
        "1.3.132.0.35",
        "1.3.132.0.10",
        "1.3.36.3.3.2.8.1.1.7",
    ] {
        cases.push(("key_curve", spki(&named(curve), &point)));
    }
    cases.extend([
        ("key_missing_curve", spki(&seq(&[&ec]), &point)),
        ("key_implicit_curve", spki(&seq(&[&ec, &[5, 0]]), &point)),
        (
            "key_explicit_curve",
            spki(&seq(&[&ec, &seq(&[&integer(&[1])])]), &point),
        ),
        (
            "key_compressed_point",
            spki(
                &p256_algorithm(),
                &bits(&[[2].as_slice(), &[1; 32]].concat()),
            ),
        ),
        (
            "key_hybrid_point",
            spki(
                &p256_algorithm(),
                &bits(&[[6].as_slice(), &[1; 64]].concat()),
            ),
        ),
        (
            "key_point_at_infinity",
            spki(&p256_algorithm(), &bits(&[0])),
        ),
    ]);
    cases
}

fn fields() -> Vec<Case> {
    let changed = |change: &dyn Fn(&mut Leaf)| Leaf::device().with(|leaf| change(leaf));
    let subject = |subject: Vec<u8>| changed(&|leaf| leaf.subject = subject.clone());
    let name = attribute_value("2.5.4.3", "dev_789");
    let printable = seq(&[&oid("2.5.4.3"), &tlv(0x13, &[b"dev789"])]);
    let unit = attribute_value("2.5.4.11", "x");
    let mut rdn = [name.clone(), unit.clone()];
    rdn.sort();
    let lasting = |start: &[u8], end: &[u8]| {
        let lasting = validity(0x17, start, 0x17, end);
        changed(&|leaf| leaf.validity = lasting.clone())
    };
    let algorithm = |kind: &str| seq(&[&oid(kind)]);
    let both = |kind: &str| {
        changed(&|leaf| {
            leaf.inner_algorithm = algorithm(kind);
            leaf.outer_algorithm = algorithm(kind);
        })
    };
    let serial = |octets: &[u8]| changed(&|leaf| leaf.serial = integer(octets));
    vec![
        ("subject", subject(common_name("DEV_789"))),
        ("subject", subject(common_name("dev_789 "))),
        ("subject", subject(common_name("dev_789\0"))),
        ("subject", subject(common_name(""))),
        ("subject", subject(seq(&[&tlv(0x31, &[&printable])]))),
        (
            "subject",
            subject(seq(&[&tlv(0x31, &[&name]), &tlv(0x31, &[&name])])),
        ),
        (
            "subject",
            subject(seq(&[&tlv(0x31, &[&name]), &tlv(0x31, &[&unit])])),
        ),
        ("subject", subject(seq(&[&tlv(0x31, &[&rdn[0], &rdn[1]])]))),
        ("serial_number", serial(&[0])),
        ("serial_number", serial(&[0xff])),
        ("serial_number", serial(&[0x7f; 21])),
        ("der_integer", serial(&[0, 1])),
        ("der_integer", serial(&[])),
        (
            "version",
            changed(&|leaf| leaf.version = tlv(0xa0, &[&integer(&[0])])),
        ),
        (
            "version",
            changed(&|leaf| leaf.version = tlv(0xa0, &[&integer(&[3])])),
        ),
        (
            "der_trailing_data",
            changed(&|leaf| {
                leaf.version = tlv(0xa0, &[&integer(&[2]), &integer(&[2])]);
            }),
        ),
        ("signature_algorithm", both("1.2.840.10045.4.1")),
        ("signature_algorithm", both("1.2.840.10045.4.3.4")),
        ("signature_algorithm", both("1.2.840.113549.1.1.11")),
        ("signature_algorithm", both("1.3.101.112")),
        ("time", lasting(b"261122115500", b"270220120000Z")),
        ("time", lasting(b"20261122115500Z", b"270220120000Z")),
        ("time", lasting(b"261122245500Z", b"270220120000Z")),
        ("time", lasting(b"261122115560Z", b"270220120000Z")),
        ("time", lasting(b"2611 2115500Z", b"270220120000Z")),
        // issuerUniqueID stands where the extensions are expected.
        (
            "no_extensions",
            changed(&|leaf| leaf.spki.extend([0x81, 2, 0, 1])),
        ),
    ]
}

fn constraints() -> Vec<Case> {
    let mut cases = vec![
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&TRUE])),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, false, &seq(&[])),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&TRUE, &integer(&[0])])),
        ),
        (
            "basic_constraints",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&integer(&[0])])),
        ),
        (
            "der_boolean",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&[1, 1, 1]])),
        ),
        (
            "der_explicit_default",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&[1, 1, 0]])),
        ),
        (
            "der_trailing_data",
            with(0, BASIC_CONSTRAINTS, true, &[0x30, 0, 0]),
        ),
        ("key_usage", with(1, KEY_USAGE, true, &[0x03, 0x01, 0x00])),
        (
            "der_named_bit_list",
            with(1, KEY_USAGE, true, &[0x03, 0x02, 0x00, 0x80]),
        ),
    ];
    for bit in 1..8_u8 {
        let mask = 0x80 >> bit;
        for set in [mask, 0x80 | mask] {
            let usage = tlv(0x03, &[&[7 - bit, set]]);
            cases.push(("key_usage", with(1, KEY_USAGE, true, &usage)));
        }
    }
    let client = oid("1.3.6.1.5.5.7.3.2");
    cases.push((
        "ext_key_usage",
        with(2, EXT_KEY_USAGE, false, &seq(&[&client, &client])),
    ));
    for purpose in [
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.5.5.7.3.3",
        "1.3.6.1.5.5.7.3.9",
        "2.5.29.37.0",
    ] {
        let purpose = oid(purpose);
        for list in [
            seq(&[&purpose]),
            seq(&[&client, &purpose]),
            seq(&[&purpose, &client]),
        ] {
            cases.push(("ext_key_usage", with(2, EXT_KEY_USAGE, true, &list)));
        }
    }
    cases
}

fn names() -> Vec<Case> {
    let ours = support::identity().san_uri();
    let uri = tlv(0x86, &[ours.as_bytes()]);
    let other_name = tlv(
        0xa0,
        &[
            &oid("1.3.6.1.4.1.311.20.2.3"),
            &tlv(0xa0, &[&tlv(0x0c, &[b"x"])]),
        ],
    );
    let mut cases = Vec::new();
    for others in [
        other_name,
        tlv(0x81, &[b"a@example"]),
        tlv(0x82, &[b"a.example"]),
        tlv(0xa4, &[&common_name("dev_789")]),
        tlv(0x87, &[&[127, 0, 0, 1]]),
        tlv(0x88, &[&[0x2a, 3]]),
        uri.clone(),
        tlv(0x86, &[b"urn:link:tenant:acme:device:dev_790"]),
    ] {
        for list in [seq(&[&uri, &others]), seq(&[&others, &uri])] {
            cases.push(("subject_alt_name", with(3, SUBJECT_ALT_NAME, false, &list)));
        }
    }
    for spelling in [
        ours.to_uppercase(),
        ours.replace("acme", "acme%2e"),
        ours.replace("acme", "other:device:x"),
        ours.replace("dev_789", ""),
        format!("{ours}\0"),
        format!("{ours}?query"),
        format!("{ours}\n"),
        format!(" {ours}"),
        "x".repeat(200),
    ] {
        cases.push((
            "identity",
            with(3, SUBJECT_ALT_NAME, false, &san_uri(&spelling)),
        ));
    }
    cases
}

fn extensions() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [
        "2.5.29.9",
        "2.5.29.16",
        "2.5.29.18",
        "2.5.29.30",
        "2.5.29.31",
        "2.5.29.32",
        "2.5.29.33",
        "2.5.29.36",
        "2.5.29.46",
        "2.5.29.54",
        "1.3.6.1.5.5.7.1.1",
        "1.3.6.1.5.5.7.1.14",
        "1.3.6.1.5.5.7.1.24",
        "1.3.6.1.5.5.7.48.1.5",
        "2.16.840.1.113730.1.1",
        "1.3.6.1.4.1.311.21.7",
        "1.3.6.1.4.1.11129.2.4.3",
    ] {
        cases.push(("unknown_extension", with(9, kind, false, &seq(&[]))));
        cases.push(("critical_extension", with(9, kind, true, &seq(&[]))));
    }
    for position in 0..4 {
        let twice = Leaf::device().extensions[position].clone();
        let leaf = Leaf::device().with_extension(9, twice);
        cases.push(("extension_duplicate", leaf));
    }
    cases.extend([
        ("critical_extension", with(9, "2.5.29.35", true, &seq(&[]))),
        (
            "der_unexpected_tag",
            with(9, "2.5.29.35", false, &octets(&[1])),
        ),
        ("der_unexpected_tag", with(9, "2.5.29.14", false, &seq(&[]))),
    ]);
    cases
}

#[test]
fn none_of_a_collection_of_hostile_certificates_is_a_devices() {
    let collection = [keys(), fields(), constraints(), names(), extensions()].concat();
    assert!(collection.len() > 100, "{}", collection.len());
    for (code, leaf) in collection {
        match DeviceCertificate::from_der(&leaf.der()) {
            Err(Error::DeviceCertificate(rule)) => assert_eq!(rule.code(), code, "{leaf:x?}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}
