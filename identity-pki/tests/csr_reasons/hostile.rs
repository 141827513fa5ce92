//! What the authors of a collection of hostile requests would think of, beyond one case for each
//! reason: every algorithm, curve, extension and kind of name that there is a number for, and the
//! spellings of an honest request that other parsers take.

use identity_pki::{CsrPolicy, ECDSA_P256_SHA256};

use crate::support;
use crate::support::der::{
    DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, bits, client_auth, extension,
    integer, octets, oid, p256_algorithm, san_uri, seq, tlv,
};
use crate::support::request::Request;
use crate::{Refusal, check, check_pem};

const PASSWORD: &str = "1.2.840.113549.1.9.7";
const UNSTRUCTURED_NAME: &str = "1.2.840.113549.1.9.2";

pub(crate) fn keys() -> Vec<Refusal> {
    let point = Request::new().point();
    let with = |algorithm: &[u8]| check(&Request::new().with_spki(algorithm, &point).der());
    let other_algorithms = [
        "1.2.840.113549.1.1.1",    // RSA
        "1.2.840.113549.1.1.10",   // RSASSA-PSS
        "1.2.840.10040.4.1",       // DSA
        "1.2.840.10046.2.1",       // DH
        "1.3.132.1.12",            // id-ecDH
        "1.3.132.1.13",            // id-ecMQV
        "1.3.101.110",             // X25519
        "1.3.101.111",             // X448
        "1.3.101.112",             // Ed25519
        "1.3.101.113",             // Ed448
        "2.16.840.1.101.3.4.3.17", // ML-DSA-44
    ];
    let other_curves = [
        "1.2.840.10045.3.1.1",   // P-192
        "1.3.132.0.33",          // P-224
        "1.3.132.0.34",          // P-384
        "1.3.132.0.35",          // P-521
        "1.3.132.0.10",          // secp256k1
        "1.3.36.3.3.2.8.1.1.7",  // brainpoolP256r1
        "1.2.156.10197.1.301",   // SM2
        "1.2.643.2.2.35.1",      // GOST
        "1.2.840.10045.3.1.7.1", // below P-256
        "1.2.840.10045.3.1",     // above it
    ];
    let ec = oid("1.2.840.10045.2.1");
    let p256 = oid("1.2.840.10045.3.1.7");
    let mut cases = Vec::new();
    for kind in other_algorithms {
        cases.push(("key_algorithm", with(&seq(&[&oid(kind), &p256]))));
    }
    for curve in other_curves {
        cases.push(("key_curve", with(&seq(&[&ec, &oid(curve)]))));
    }
    cases.push(("key_missing_curve", with(&seq(&[&ec, &octets(&[1])]))));
    cases
}

/// Keys that are P-256 but for the form around them.
pub(crate) fn key_forms() -> Vec<Refusal> {
    let point = Request::new().point();
    let spki = |spki: Vec<u8>| check(&Request::new().with(|r| r.spki = spki).der());
    let key = bits(&point);
    let algorithm = p256_algorithm();
    let parameters = [oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")];
    let twice = seq(&[&parameters[0], &parameters[1], &parameters[1]]);
    vec![
        ("der_trailing_data", spki(seq(&[&algorithm, &key, &[5, 0]]))),
        ("der_trailing_data", spki(seq(&[&twice, &key]))),
        ("der_truncated", spki(seq(&[&algorithm]))),
        ("der_unexpected_tag", spki(seq(&[&key, &algorithm]))),
        (
            "der_unexpected_tag",
            spki(seq(&[&algorithm, &octets(&point)])),
        ),
        (
            "der_forbidden_tag",
            spki(seq(&[&algorithm, &tlv(0x23, &[&key])])),
        ),
        (
            "der_bit_string",
            spki(seq(&[
                &algorithm,
                &tlv(0x03, &[&[4], &point[..64], &[0xf0]]),
            ])),
        ),
    ]
}

pub(crate) fn signature_algorithms() -> Vec<Refusal> {
    [
        "1.2.840.10045.4.1",       // ecdsa-with-SHA1
        "1.2.840.10045.4.2",       // ecdsa-with-Recommended
        "1.2.840.10045.4.3",       // ecdsa-with-Specified
        "1.2.840.10045.4.3.1",     // ecdsa-with-SHA224
        "1.2.840.10045.4.3.3",     // ecdsa-with-SHA384
        "1.2.840.10045.4.3.4",     // ecdsa-with-SHA512
        "2.16.840.1.101.3.4.3.10", // ecdsa-with-SHA3-256
        "1.2.840.113549.1.1.5",    // sha1WithRSAEncryption
        "1.2.840.113549.1.1.10",   // RSASSA-PSS
        "1.3.101.112",             // Ed25519
        "1.2.840.10045.2.1",       // a key's algorithm
        "2.16.840.1.101.3.4.2.1",  // SHA-256 alone
    ]
    .map(|kind| {
        let algorithm = seq(&[&oid(kind)]);
        let request = Request::new().with(|r| r.signature_algorithm = algorithm);
        ("signature_algorithm", check(&request.der()))
    })
    .into()
}

pub(crate) fn extensions() -> Vec<Refusal> {
    let with = |kind: &str, critical| {
        let asked = extension(kind, critical, &seq(&[]));
        check(&Request::new().with_extensions(&[&asked]).der())
    };
    let others = [
        "2.5.29.9",                // subject directory attributes
        "2.5.29.14",               // subject key identifier
        "2.5.29.16",               // private key usage period
        "2.5.29.18",               // issuer alternative name
        "2.5.29.20",               // CRL number
        "2.5.29.31",               // CRL distribution points
        "2.5.29.35",               // authority key identifier
        "2.5.29.46",               // freshest CRL
        "1.3.6.1.5.5.7.1.1",       // authority information access
        "1.3.6.1.5.5.7.1.11",      // subject information access
        "1.3.6.1.5.5.7.1.24",      // TLS feature
        "1.3.6.1.5.5.7.48.1.5",    // OCSP no check
        "2.16.840.1.113730.1.1",   // Netscape certificate type
        "1.3.6.1.4.1.311.20.2",    // Microsoft certificate type
        "1.3.6.1.4.1.311.21.7",    // Microsoft certificate template
        "1.3.6.1.4.1.311.25.2",    // Microsoft security identifier
        "1.3.6.1.4.1.11129.2.4.2", // signed certificate timestamps
        "1.3.6.1.4.1.11129.2.4.3", // precertificate poison
        "2.5.29.15.1",             // below key usage
    ];
    let mut cases: Vec<Refusal> = Vec::new();
    for kind in others {
        cases.extend([false, true].map(|critical| ("extension_unknown", with(kind, critical))));
    }
    cases.extend(usages());
    cases.extend(purposes());
    cases.extend(names());
    cases
}

/// Every other use of a key, alone and beside the one that is tolerated.
fn usages() -> Vec<Refusal> {
    let with = |value: &[u8]| {
        let asked = extension(KEY_USAGE, true, value);
        check(&Request::new().with_extensions(&[&asked]).der())
    };
    let mut cases = Vec::new();
    for bit in 1..8_u8 {
        let mask = 0x80 >> bit;
        for set in [mask, 0x80 | mask] {
            let usage = with(&tlv(0x03, &[&[7 - bit, set]]));
            cases.push(("extension_key_usage", usage));
        }
    }
    cases.push(("extension_key_usage", with(&[0x03, 0x03, 0x07, 0x80, 0x80])));
    cases
}

fn purposes() -> Vec<Refusal> {
    let with = |value: &[u8]| {
        let asked = extension(EXT_KEY_USAGE, false, value);
        check(&Request::new().with_extensions(&[&asked]).der())
    };
    let client = oid("1.3.6.1.5.5.7.3.2");
    let others = [
        "1.3.6.1.5.5.7.3.1",      // server
        "1.3.6.1.5.5.7.3.3",      // code
        "1.3.6.1.5.5.7.3.4",      // mail
        "1.3.6.1.5.5.7.3.8",      // time stamps
        "1.3.6.1.5.5.7.3.9",      // OCSP
        "1.3.6.1.4.1.311.20.2.2", // smart card sign-in
        "2.5.29.37.0",            // any
    ];
    let mut cases = Vec::new();
    for purpose in others {
        let purpose = oid(purpose);
        for list in [
            seq(&[&purpose]),
            seq(&[&client, &purpose]),
            seq(&[&purpose, &client]),
        ] {
            cases.push(("extension_ext_key_usage", with(&list)));
        }
    }
    cases
}

/// Every kind of name, whether or not the caller expects an identity.
fn names() -> Vec<Refusal> {
    let ours = support::identity().san_uri();
    let uri = tlv(0x86, &[ours.as_bytes()]);
    let identity = support::identity();
    let strict = CsrPolicy::new(ECDSA_P256_SHA256);
    let expecting = strict.expect_identity(&identity);
    let other_name = tlv(
        0xa0,
        &[
            &oid("1.3.6.1.4.1.311.20.2.3"),
            &tlv(0xa0, &[&tlv(0x0c, &[b"x"])]),
        ],
    );
    let directory = tlv(0xa4, &[&support::der::common_name("dev_789")]);
    let mut lists = vec![
        seq(&[&other_name]),
        seq(&[&tlv(0x81, &[b"a@example"])]),
        seq(&[&tlv(0x82, &[b"*"])]),
        seq(&[&directory]),
        seq(&[&tlv(0x87, &[&[127, 0, 0, 1]])]),
        seq(&[&tlv(0x88, &[&[0x2a, 3]])]),
        seq(&[&uri, &tlv(0x82, &[b"a.example"])]),
        seq(&[&directory, &uri]),
    ];
    for spelling in [
        ours.to_uppercase(),
        ours.replace("urn:", "URN:"),
        ours.replace("acme", "acme%2e"),
        ours.replace("dev_789", "dev_7890"),
        ours.replace("dev_789", "dev_78"),
        ours.replace("acme", "other"),
        format!("{ours}\0"),
        format!("{ours}#fragment"),
        format!("{ours}/"),
        format!(" {ours}"),
        String::new(),
    ] {
        lists.push(san_uri(&spelling));
    }
    let mut cases = Vec::new();
    for list in lists {
        for critical in [false, true] {
            let asked = extension(SUBJECT_ALT_NAME, critical, &list);
            let der = Request::new().with_extensions(&[&asked]).der();
            let refused = strict.check_der(&der).map(drop);
            cases.push(("extension_subject_alt_name", refused));
            let refused = expecting.check_der(&der).map(drop);
            cases.push(("extension_other_identity", refused));
        }
    }
    cases
}

/// Requests whose parts are in other places or other wrappings than their own.
pub(crate) fn forms() -> Vec<Refusal> {
    let honest = Request::new();
    let attributes = tlv(0xa0, &[]);
    let info = |parts: &[&[u8]]| {
        let request = seq(&[&seq(parts), &honest.signature_algorithm, &bits(&[0x30, 0])]);
        check(&request)
    };
    let Request {
        version,
        subject,
        spki,
        ..
    } = &honest;
    let extended = |list: Vec<u8>| {
        let list = [list.as_slice()];
        check(
            &Request::new()
                .with_attribute("1.2.840.113549.1.9.14", &list)
                .der(),
        )
    };
    let text =
        |kind: &str, value: &[u8]| check(&Request::new().with_attribute(kind, &[value]).der());
    let usage = oid(KEY_USAGE);
    let wrapped = octets(&DIGITAL_SIGNATURE);
    vec![
        ("der_unexpected_tag", info(&[subject, spki, &attributes])),
        (
            "der_unexpected_tag",
            info(&[&tlv(0x0a, &[&[0]]), subject, spki, &attributes]),
        ),
        (
            "der_unexpected_tag",
            info(&[&tlv(0xa0, &[version]), subject, spki, &attributes]),
        ),
        (
            "der_unexpected_tag",
            info(&[version, &tlv(0x31, &[]), spki, &attributes]),
        ),
        (
            "der_unexpected_tag",
            info(&[version, subject, spki, &tlv(0x31, &[])]),
        ),
        (
            "der_unexpected_tag",
            info(&[version, subject, spki, &tlv(0xa1, &[])]),
        ),
        (
            "der_unexpected_tag",
            info(&[version, spki, subject, &attributes]),
        ),
        (
            "der_trailing_data",
            info(&[version, subject, spki, &attributes, &attributes]),
        ),
        ("der_truncated", info(&[version, subject, spki])),
        (
            "der_unexpected_tag",
            extended(tlv(
                0x31,
                &[&extension(KEY_USAGE, true, &DIGITAL_SIGNATURE)],
            )),
        ),
        ("der_unexpected_tag", extended(seq(&[&usage, &wrapped]))),
        (
            "der_unexpected_tag",
            extended(seq(&[&seq(&[&usage, &integer(&[1]), &wrapped])])),
        ),
        (
            "der_unexpected_tag",
            extended(seq(&[&seq(&[&usage, &DIGITAL_SIGNATURE])])),
        ),
        (
            "der_trailing_data",
            extended(seq(&[&seq(&[&usage, &wrapped, &wrapped])])),
        ),
        (
            "der_trailing_data",
            extended(seq(&[&extension(KEY_USAGE, true, &[3, 2, 7, 0x80, 0])])),
        ),
        (
            "der_truncated",
            extended(seq(&[&extension(KEY_USAGE, true, &[])])),
        ),
        (
            "der_unexpected_tag",
            extended(seq(&[&extension(KEY_USAGE, true, &client_auth())])),
        ),
        (
            "der_bit_string",
            extended(seq(&[&extension(KEY_USAGE, true, &[0x03, 0x00])])),
        ),
        (
            "der_unexpected_tag",
            text(PASSWORD, &seq(&[&oid("2.5.4.3")])),
        ),
        ("der_unexpected_tag", text(PASSWORD, &octets(b"secret"))),
        (
            "der_unexpected_tag",
            text(UNSTRUCTURED_NAME, &tlv(0x31, &[])),
        ),
        ("der_truncated", check(&tlv(0x30, &[]))),
        ("der_unexpected_tag", check(&octets(&honest.der()))),
        ("der_unexpected_tag", check(&tlv(0x31, &[&honest.der()]))),
    ]
}

/// Texts that lenient decoders of PEM take.
pub(crate) fn texts() -> Vec<Refusal> {
    let honest = support::CSR_PEM;
    let (first, rest) = honest.split_once('\n').unwrap();
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    vec![
        ("pem_label", check_pem(&honest.to_lowercase())),
        ("pem_label", check_pem(&format!("\u{feff}{honest}"))),
        (
            "pem_label",
            check_pem(&honest.replace("CERTIFICATE REQUEST", "CERTIFICATE")),
        ),
        (
            "pem_label",
            check_pem(&honest.replace("-----BEGIN ", "----BEGIN ")),
        ),
        (
            "pem_label",
            check_pem(&honest.replace("REQUEST-----", "REQUEST ----")),
        ),
        ("pem_label", check_pem(&format!("{key}{honest}"))),
        ("pem_trailing_text", check_pem(&format!("{honest}{key}"))),
        ("pem_trailing_text", check_pem(&format!("{honest}\0"))),
        (
            "pem_base64",
            check_pem(&format!("{first}\nProc-Type: 4,ENCRYPTED\n\n{rest}")),
        ),
        ("pem_base64", check_pem(&format!("{first}\n\u{b}{rest}"))),
        ("pem_base64", check_pem(&format!("{first}-\n{rest}"))),
        (
            "pem_base64",
            check_pem(&honest.replacen("=\n-", "==\n-", 1)),
        ),
        (
            "pem_unterminated",
            check_pem(&honest.replace("-----END ", "-----FIN ")),
        ),
    ]
}
